"""All changes as one file, CSV or Excel, made as a stream."""

import io
import zipfile
from typing import Any

import openpyxl
import pyarrow as pa
from sqlalchemy import Text

from batch_jobs.flows.jobs.changes_file import COLUMNS, csv_blocks, xlsx_blocks
from batch_jobs.strategies.tables.formats.xlsx.sheets import SheetsWriter
from batch_jobs.strategies.tables.selecting import SelectedColumn


def change(**fields: Any) -> dict[str, Any]:
    known = {"table": "goods", "kind": "updated", "key": {"code": "A"}, "line": 2, "column": "price"}
    return {**known, "before": "9.50", "after": "9.90", **fields}


def sheets_of(content: bytes) -> list[list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    return [list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets]


def test_the_workbook_has_what_the_csv_has_and_lines_as_numbers():
    entries = [change(), change(kind="created", key={"code": "B", "region": "EU"}, before=None)]

    (rows,) = sheets_of(b"".join(xlsx_blocks(entries)))

    assert rows[0] == COLUMNS
    assert rows[1][:7] == ("goods", "updated", "code=A", 2, "price", "9.50", "9.90")
    assert rows[2][2:7] == ("code=B, region=EU", 2, "price", None, "9.90")
    assert b"".join(csv_blocks(entries)).decode().splitlines()[1] == "goods,updated,code=A,2,price,9.50,9.90,"


def test_texts_that_begin_like_formulas_are_harmless_in_both():
    entries = [change(before="=1+1", after="@sum", column="+x")]

    ((_, row),) = sheets_of(b"".join(xlsx_blocks(entries)))

    assert row[4:7] == ("'+x", "'=1+1", "'@sum")
    assert b"'+x,'=1+1,'@sum" in b"".join(csv_blocks(entries))


def test_what_excel_cannot_hold_is_cut_or_replaced_and_ends_no_file():
    ((_, row),) = sheets_of(b"".join(xlsx_blocks([change(before="x" * 40_000, after="a\x00b\ud800")])))

    assert (len(row[5]), row[5][-1]) == (32_766, "…")
    assert row[6] == "a\ufffdb\ufffd"


def test_a_new_sheet_begins_where_one_is_full_each_with_the_header():
    stream = io.BytesIO()

    with SheetsWriter(stream, [SelectedColumn("n", Text())], neutralise=True, rows_per_sheet=3) as writer:
        writer.write(pa.table({"n": pa.array(list("abcde"), pa.string())}))

    assert sheets_of(stream.getvalue()) == [
        [("n",), ("a",), ("b",)],
        [("n",), ("c",), ("d",)],
        [("n",), ("e",)],
    ]
    assert zipfile.ZipFile(stream).namelist()[0] == "[Content_Types].xml"


def test_no_more_is_held_than_some_changes():
    held = 0
    for block in xlsx_blocks(change(after=f"{number:050}") for number in range(100_000)):
        held = max(held, len(block))

    assert held < 1 << 20


def test_without_a_change_there_is_the_header_alone():
    assert sheets_of(b"".join(xlsx_blocks([]))) == [[COLUMNS]]
    assert b"".join(csv_blocks([])).decode() == ",".join(COLUMNS) + "\n"
