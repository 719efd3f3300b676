"""Both ways to read a workbook give the same cells, line by line; the faster one is left where it would not."""

import datetime as dt
import io
import random
import zipfile
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.reading import Input
from batch_jobs.strategies.tables.formats.xlsx import XlsxReader


def workbook(*rows: list[Any], formats: dict[int, str] | None = None) -> bytes:
    book, stream = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
        for column, code in (formats or {}).items():
            book.active.cell(book.active.max_row, column).number_format = code
    book.save(stream)
    return stream.getvalue()


def replaced(content: bytes, old: bytes, new: bytes) -> bytes:
    """The workbook with another text in its sheet."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as book, zipfile.ZipFile(stream, "w") as other:
        for info in book.infolist():
            part = book.read(info)
            other.writestr(info.filename, part.replace(old, new) if "sheet1" in info.filename else part)
    return stream.getvalue()


def both(content: bytes) -> bool:
    """Check that a workbook reads alike in both ways; returns whether calamine read it."""
    fast, slow = (XlsxReader(Input(lambda: io.BytesIO(content), "f.xlsx"), rows=7, read_whole=n) for n in (1 << 26, 0))
    assert slow._whole is None
    assert list(fast.batches()) == list(slow.batches())
    return fast._whole is not None


def every_kind() -> bytes:
    chance = random.Random(1)
    rows: list[list[Any]] = [["int", "float", "day", "time", "moment", "text", "bool", "code"]]
    for number in range(200):
        row: list[Any] = [
            chance.randrange(-(10**14), 10**14), chance.random() * 10.0 ** chance.randrange(-300, 300),
            dt.date(1900, 3, 1) + dt.timedelta(days=chance.randrange(100_000)),
            dt.time(chance.randrange(24), chance.randrange(60), chance.randrange(60)),
            dt.datetime(1950, 1, 1) + dt.timedelta(seconds=chance.random() * 3e9),
            chance.choice(["x", " a ", "é漢", "<&>", "a\nb", "true"]), chance.random() < 0.5, f"{number:05}",
        ]  # fmt: skip
        row[chance.randrange(8)] = None
        rows.append(row)
    rows.insert(5, [])
    return workbook(*rows)


def test_every_kind_of_cell_is_read_by_calamine_as_openpyxl_reads_it():
    assert both(every_kind())


@pytest.mark.parametrize("code", ["dd/mm/yyyy;@", "[$-409]d-mmm-yy;@", "h:mm AM/PM", "#,##0.00 €", "0.0%", "@"])
def test_common_formats_of_cells_are_read_by_calamine(code: str):
    assert both(workbook(["v"], [45_000.25], [0.5], formats={1: code}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: workbook(["a", "b"], ["#N/A", 1]),
        lambda: workbook(["a", "b"], ["=1/0", 1]),
        lambda: replaced(workbook(["a", "b"], [1, 2]), b"<v>2</v>", b"<v>12345678901234567890</v>"),
        lambda: replaced(workbook(["a", "b"], [1, 2]), b"<v>2</v>", b"<v></v>"),
        lambda: workbook(["a", "b"], ["a_x0041_b", 1]),
        lambda: workbook(["a"], [dt.timedelta(hours=30)]),
        lambda: workbook(["a"], [-1.5], [1], formats={1: "yyyy-mm-dd"}),
        lambda: workbook(["a"], [3_000_000], [1], formats={1: "yyyy-mm-dd"}),
        lambda: workbook(["a"], [45_000.5], formats={1: 'yyyy"y"'}),
        lambda: workbook(["a"], [45_000.5], formats={1: '0.00"d"'}),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_calamine_would_read_otherwise_is_read_by_openpyxl(make: Callable[[], bytes]):
    assert not both(make())


def test_a_workbook_with_a_part_that_is_larger_than_it_says_is_refused():
    content = bytearray(workbook(["a"], ["b"]))
    with zipfile.ZipFile(io.BytesIO(bytes(content))) as book:
        size = book.getinfo("xl/worksheets/sheet1.xml").file_size
    place = content.rindex(b"xl/worksheets/sheet1.xml")  # in the central directory, 22 bytes behind the size
    assert int.from_bytes(content[place - 22 : place - 18], "little") == size
    content[place - 22 : place - 18] = (size - 10).to_bytes(4, "little")

    with pytest.raises(InputRefused, match="this is not an Excel file"):
        XlsxReader(Input(lambda: io.BytesIO(bytes(content)), "f.xlsx"))
