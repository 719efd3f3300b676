"""Writing an Excel file as a stream. openpyxl cannot tell an empty text from no cell, nor keep a carriage return."""

import re
import zipfile
from types import TracebackType
from typing import IO, BinaryIO, Self
from xml.sax.saxutils import escape

import pyarrow as pa

from strategies.errors import JobRefused
from strategies.tabular.formulas import neutralise as neutralised
from strategies.tabular.selecting import SelectedColumn

#: Excel's own limits.
MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
MAX_CELL = 32_767

SHEET = "xl/worksheets/sheet1.xml"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/{SHEET}" ContentType="{_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}

#: Numbers that Excel's floats hold exactly; others are written as text.
_NUMBER = re.compile(r"-?(?=(?:\D?\d){1,15}\D*$)(0|[1-9]\d*)(\.\d+)?")
#: XML has no way to write these.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class XlsxWriter:
    """One sheet; numbers that fit are numbers, all else is text."""

    def __init__(self, stream: BinaryIO, columns: list[SelectedColumn], neutralise: bool) -> None:
        self._columns = columns
        self._neutralise = neutralise
        self._rows = 0
        self._package = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        for name, content in PARTS.items():
            self._package.writestr(name, _HEAD + content)
        self._sheet: IO[bytes] = self._package.open(SHEET, "w", force_zip64=True)
        self._sheet.write(f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
        self._write_rows([[_text_cell(column.name) for column in columns]])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sheet.write(b"</sheetData></worksheet>")
        self._sheet.close()
        self._package.close()

    def write(self, rows: pa.Table) -> None:
        """Write rows.

        Raises:
            JobRefused: a cell or the sheet is larger than Excel allows, or a character cannot be written.
        """
        check_size(self._rows + rows.num_rows - 1, len(self._columns))
        columns = [self._cells(column, cells) for column, cells in zip(self._columns, rows.columns, strict=True)]
        self._write_rows(list(map(list, zip(*columns, strict=True))))

    def _cells(self, column: SelectedColumn, cells: pa.ChunkedArray) -> list[str]:
        texts = cells.combine_chunks()
        if self._neutralise and column.is_text:
            texts = neutralised(texts)
        way = _number_cell if column.is_number else _boolean_cell if column.is_boolean else _text_cell
        try:
            return [way(text) for text in texts.to_pylist()]
        except ValueError as error:
            raise JobRefused(f"column {column.name} has {error}; export it in another format") from error

    def _write_rows(self, rows: list[list[str]]) -> None:
        self._sheet.write("".join(f"<row>{''.join(cells)}</row>" for cells in rows).encode())
        self._rows += len(rows)


def check_size(rows: int, columns: int) -> None:
    """Refuse what does not fit on a sheet.

    Raises:
        JobRefused: says how much fits.
    """
    if rows > MAX_ROWS - 1 or columns > MAX_COLUMNS:
        raise JobRefused(
            f"an Excel sheet holds {MAX_ROWS - 1:,} rows and {MAX_COLUMNS:,} columns "
            f"and this has {rows:,} and {columns:,}; export it as csv, jsonl or parquet"
        )


def _text_cell(text: str | None) -> str:
    if text is None:
        return "<c/>"
    if len(text) > MAX_CELL:
        raise ValueError(f"a cell of {len(text):,} characters and Excel allows {MAX_CELL:,}")
    if _UNWRITABLE.search(text):
        raise ValueError("a control character that Excel files cannot hold")
    escaped = escape(text, {"\r": "&#13;"})
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escaped}</t></is></c>'


def _number_cell(text: str | None) -> str:
    return f"<c><v>{text}</v></c>" if text is not None and _NUMBER.fullmatch(text) else _text_cell(text)


def _boolean_cell(text: str | None) -> str:
    return f'<c t="b"><v>{int(text == "true")}</v></c>' if text in ("true", "false") else _text_cell(text)
