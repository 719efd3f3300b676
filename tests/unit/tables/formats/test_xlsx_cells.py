"""Cells as openpyxl understands them, and the same however a program writes the XML."""

import datetime as dt
import io
import random
import re
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.tables.formats.xlsx.cells import read_cells
from batch_jobs.strategies.tables.formats.xlsx.plain import BLOCK, NotPlain
from tests.support.workbooks import by_hand, workbook, xlsx_reader


def read(content: bytes) -> list[list[str | None]]:
    return [list(row.values()) for batch in xlsx_reader(content).batches() for row in batch.table.to_pylist()]


def by_openpyxl(content: bytes) -> list[list[Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sheet = openpyxl.load_workbook(io.BytesIO(content), data_only=True).worksheets[0]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]
    return [row for row in rows if any(value is not None for value in row)]


def as_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    return None if value is None else str(value)


def every_kind() -> bytes:
    chance = random.Random(1)
    rows: list[list[Any]] = [["int", "float", "day", "time", "moment", "text", "bool", "code"]]
    for number in range(200):
        row: list[Any] = [
            chance.randrange(-(10**14), 10**14), chance.random() * 10.0 ** chance.randrange(-300, 300),
            dt.date(1900, 3, 1) + dt.timedelta(days=chance.randrange(100_000)),
            dt.time(chance.randrange(24), chance.randrange(60), chance.randrange(60)),
            dt.datetime(1950, 1, 1) + dt.timedelta(seconds=chance.random() * 3e9),
            chance.choice(["x", " a ", "é漢", "<&>", "a\nb", "true", "a>b"]), chance.random() < 0.5, f"{number:05}",
        ]  # fmt: skip
        row[chance.randrange(8)] = None
        rows.append(row)
    rows.insert(5, [])
    return workbook(*rows)


def test_every_kind_of_cell_is_read_as_openpyxl_reads_it():
    content = every_kind()
    expected = by_openpyxl(content)
    for row in expected:
        row[2] = row[2] and row[2].date()
    assert read(content) == [list(map(as_text, row)) for row in expected]


@given(
    st.floats(1, 2_958_465).filter(lambda number: not 59 <= number < 61) | st.floats(0, 0.999),
    st.sampled_from(
        [
            "yyyy-mm-dd h:mm",
            "dd/mm/yyyy hh:mm:ss;@",
            "[$-409]d-mmm-yy h:mm AM/PM;@",
            "[Red]yy hh",
            'd"y"h',
            "m/d/yy h:mm",
        ]
    ),
    st.booleans(),
)
def test_B2_moments_are_those_of_openpyxl(number: float, code: str, from_1904: bool):
    if from_1904 and not 1 <= number <= 2_957_000:
        return
    book, stream = openpyxl.Workbook(), io.BytesIO()
    if from_1904:
        book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    book.active.append(["v"])
    book.active.append([number])
    book.active["A2"].number_format = code
    book.save(stream)

    assert read(stream.getvalue()) == [[as_text(by_openpyxl(stream.getvalue())[0][0])]]


@pytest.mark.parametrize(
    ("code", "number", "text"),
    [
        ("General", 0.5, "0.5"),
        ("#,##0.00 €", 45_000.25, "45000.25"),
        ("0.0%", 0.5, "0.5"),
        ("0.00E+00", 1.5, "1.5"),
        ("0.00&quot;d&quot;", 1.5, "1.5"),
        ("[Red]0", 5, "5"),
        ("# ?/?", 0.25, "0.25"),
        ("@", 5, "5"),
        ("yyyy-mm-dd", 45_292, "2024-01-01"),
        ("mmm yyyy", 45_292, "2024-01-01"),
        ("yyyy&quot;年&quot;m&quot;月&quot;", 45_292.25, "2024-01-01 06:00:00"),
        ("yyyy-mm-dd hh:mm", 45_292, "2024-01-01 00:00:00"),
        ("h:mm AM/PM", 0.5, "12:00:00"),
        ("mm:ss.0", 0.000_005, "00:00:00.432000"),
        ("h:mm", 45_292.5, "2024-01-01 12:00:00"),
        ("[h]:mm", 1.25, "30:00:00"),
        ("[mm]:ss", -0.5, "-12:00:00"),
        ("yyyy-mm-dd", 1, "1900-01-01"),
        ("yyyy-mm-dd", 61, "1900-03-01"),
        ("yyyy-mm-dd", 2_958_465, "9999-12-31"),
    ],
)
def test_B2_the_format_of_a_cell_says_what_its_number_is(code: str, number: float, text: str):
    content = by_hand(
        f'<row r="1"><c r="A1" t="str"><v>v</v></c></row><row r="2"><c r="A2" s="1"><v>{number!r}</v></c></row>',
        formats={1: code},
    )
    assert read(content) == [[text]]


@pytest.mark.parametrize("number", ["-1.5", "60", "2958466", "1e300", "many"])
def test_a_number_that_is_shown_as_a_day_and_is_none_is_a_bad_cell(number: str):
    content = by_hand(
        f'<row r="1"><c r="A1" t="str"><v>v</v></c></row><row r="2"><c r="A2" s="1"><v>{number}</v></c></row>',
        formats={1: "dd.mm.yyyy"},
    )
    (batch,) = xlsx_reader(content).batches()
    assert batch.table.column("v").to_pylist() == [number]
    assert [cell.message for cell in batch.bad_cells] == ["is shown as a day or time and is none that Excel knows"]


def changed(change: Callable[[str], str]) -> bytes:
    """The workbook of every kind with its sheet written otherwise."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(every_kind())) as book, zipfile.ZipFile(stream, "w") as other:
        for info in book.infolist():
            text = book.read(info)
            if info.filename.endswith("sheet1.xml"):
                written = change(text.decode())
                text = written.encode("utf-16" if "UTF-16" in written[:60] else "utf-8")
            other.writestr(info.filename, text)
    return stream.getvalue()


def prefixed(sheet: str) -> str:
    return re.sub(r"<(/?)(\w)", r"<\1x:\2", sheet).replace("xmlns=", "xmlns:x=")


def spread(sheet: str) -> str:
    """Each tag on a line of its own, outside texts."""
    return re.sub(r"(<sheetData>|</row>|</c>|<row[^>]*>|<is>)", "\\1\r\n\t", sheet)


#: How else the same cells may be written.
WRITTEN: dict[str, Callable[[str], str]] = {
    "with line ends": spread,
    "with other attributes first": lambda sheet: re.sub(r'<c r="(\w+)"', r'<c cm="1" r="\1"', sheet),
    "with single quotes": lambda sheet: re.sub(r'<c r="(\w+)"', r"<c r='\1'", sheet),
    "with blanks around": lambda sheet: re.sub(r'<c r="(\w+)"', r'<c   r = "\1"', sheet),
    "with comments": lambda sheet: sheet.replace("<row", "<!-- <row> --><row"),
    "with instructions": lambda sheet: sheet.replace("</row>", "</row><?page break?>"),
    "with instructions at its end": lambda sheet: sheet.replace("</sheetData>", "<?end?></sheetData>"),
    "with columns in lower case": lambda sheet: re.sub(r'<c r="(\w+)"', lambda c: c[0].lower(), sheet),
    "with prefixes": prefixed,
    "in another encoding": lambda sheet: f'<?xml version="1.0" encoding="UTF-16"?>{sheet}',
}


@pytest.mark.parametrize("change", WRITTEN.values(), ids=WRITTEN)
def test_cells_are_the_same_however_they_are_written(change: Callable[[str], str]):
    assert read(changed(change)) == read(every_kind())


@pytest.mark.parametrize(
    "block",
    [
        '<row r="1"><c r="A1"><v>1<!-- --></v></c></row>',
        '<row r="1"><c r="A1"><v><![CDATA[1]]></v></c></row>',
        "<row r='1'><c r=\"A1\"/></row>",
        '<row r="1"><c t="n" r="A1"/></row>',
        '<row r="1"><c r="A1"/><c/></row>',
        '<row r="1"/><row/>',
        '<row r="1"><c r="A22"/></row>',
        '<row r="1"><c r="A1" t=\'s\'><v>1</v></c></row>',
        '<row r="1"><c r="A1" t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r></is></c></row>',
        '<x:row r="1"><x:c r="A1"/></x:row>',
        '<row r="1"><c r="A1"><v>a>b</v></c></row>',
        '<c r="A1"/>',
    ],
)
def test_what_is_not_plain_is_left_to_the_parser(block: str):
    with pytest.raises(NotPlain):
        read_cells(block.encode(), 0)


def test_rich_texts_are_their_runs_and_readings_of_words_are_none():
    rich = "<r><rPr><b/><color rgb='1'/></rPr><t>a </t></r><r><t>b&amp;</t></r><rPh sb='0' eb='1'><t>no</t></rPh>"
    cells = f'<c r="A2" t="s"><v>1</v></c><c r="B2" t="inlineStr"><is>{rich}</is></c>'
    content = by_hand(
        f'<row r="1"><c r="A1" t="str"><v>v</v></c><c r="B1" t="s"><v>0</v></c></row><row r="2">{cells}</row>',
        texts=f"<si><t>w</t><phoneticPr fontId='1'/></si><si>{rich}</si><si/>",
    )
    assert xlsx_reader(content).columns == ["v", "w"]
    assert read(content) == [["a b&", "a b&"]]


@pytest.mark.parametrize("length", range(0, 120, 7))
def test_a_block_ends_anywhere(length: int):
    """A text of this length moves the rows over the edge of a block."""
    long = BLOCK - 250 + length
    content = by_hand(
        '<row r="1"><c r="A1" t="str"><v>v</v></c></row>'
        f'<row r="2"><c r="A2" t="str"><v>{"x" * long}</v></c></row><row r="3"/><row r="4"><c r="A4"><v>4</v></c></row>'
    )
    (text,), (last,) = read(content)
    assert (len(text or ""), last) == (long, "4")
