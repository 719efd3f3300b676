"""The file of refused rows: any page of it by a few reads, however many rows there are."""

import io
import sqlite3
from contextlib import closing

from batch_jobs.strategies.sdk.rejected_rows import RefusedRow, RefusedRows, RefusedRowsWriter


class Reading(io.BytesIO):
    """A file that counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found

    def readline(self, size: int | None = -1) -> bytes:
        found = super().readline(size)
        self.taken += len(found)
        return found


def written(rows: list[RefusedRow], files: tuple[str, ...] = ()) -> Reading:
    stream = io.BytesIO()
    with closing(sqlite3.connect("")) as places:
        writer = RefusedRowsWriter(stream, places)
        for row in rows:
            writer.write(row)
        writer.finish(files)
    return Reading(stream.getvalue())


def row(number: int) -> RefusedRow:
    column = "price" if number % 3 else None
    return RefusedRow(number, {"code": f"c{number}", "price": "dear"}, [(column, "is bad")])


def test_a_page_of_many_rows_reads_no_more_than_one_of_few():
    def taken(count: int) -> int:
        stream = written([row(number) for number in range(count)])
        found = RefusedRows(stream, len(stream.getvalue()))
        assert [one.number for one in found.page(count - 5, 5)] == list(range(count - 5, count))
        return stream.taken

    assert taken(20_000) < taken(20) * 2


def test_rows_are_found_by_column_and_by_line():
    stream = written([row(number) for number in range(1, 100)], ("a.csv", "b.csv"))
    found = RefusedRows(stream, len(stream.getvalue()))

    assert (found.total, found.columns, found.files, found.names) == (
        99, {"price": 66}, ["a.csv", "b.csv"], ["code", "price"],
    )  # fmt: skip
    assert [one.number for one in found.page(2, 3, "price")] == [4, 5, 7]
    assert found.page(0, 3, "code") == []
    assert found.find(42) == row(42)
    assert found.find(1_000) is None
    assert list(found.all()) == [row(number) for number in range(1, 100)]


def test_a_reason_about_what_was_made_of_a_cell_marks_the_cell():
    stream = written([RefusedRow(1, {"Price": "x"}, [("Price → Variant Price", "is bad"), ("Size", "lacks")])])
    found = RefusedRows(stream, len(stream.getvalue()))

    assert found.columns == {"Price": 1}
    assert found.page(0, 1)[0].bad_cell("Size") is None
