"""Reading Excel as batches of text."""

import datetime as dt
import io
from typing import Any

import openpyxl
import pytest

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.reading import Input, Reader
from batch_jobs.strategies.tables.formats.xlsx import XlsxReader


def rows(reader: Reader) -> list[dict[str, str | None]]:
    return [row for batch in reader.batches() for row in batch.table.to_pylist()]


def resumes(reader: Reader) -> None:
    batches = list(reader.batches())
    assert len(batches) > 1
    for index, batch in enumerate(batches):
        assert list(reader.batches(batch.start)) == batches[index:]


def workbook(*sheet: list[Any]) -> bytes:
    book, stream = openpyxl.Workbook(), io.BytesIO()
    for row in sheet:
        book.active.append(row)
    book.save(stream)
    return stream.getvalue()


def test_excel_values_become_the_text_an_import_reads():
    content = workbook(
        ["a", "b", "c", None], [1.0, 2.5, dt.datetime(2024, 1, 2)], [], [True, "x", dt.datetime(2024, 1, 2, 3, 4, 5)]
    )
    reader = XlsxReader(Input(lambda: io.BytesIO(content), "f.xlsx"))
    assert rows(reader) == [
        {"a": "1", "b": "2.5", "c": "2024-01-02"},
        {"a": "true", "b": "x", "c": "2024-01-02 03:04:05"},
    ]
    assert [line for batch in reader.batches() for line in batch.lines.to_pylist()] == [2, 4]


def test_excel_goes_on_from_any_batch():
    content = workbook(["a"], *([i] for i in range(20)))
    resumes(XlsxReader(Input(lambda: io.BytesIO(content), "f.xlsx"), rows=6))


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        (XlsxReader, b"a,b\n", "this is not an Excel file"),
        (XlsxReader, workbook(), "the first sheet is empty"),
        (XlsxReader, workbook(["a", "a"]), "the header has 'a' in columns 1 and 2"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(reader: Any, content: bytes, message: str):
    with pytest.raises(InputRefused, match=message):
        reader(Input(lambda: io.BytesIO(content), "file"))
