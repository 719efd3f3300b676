"""Excel files: reading the first sheet, and writing as a stream."""

import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from types import TracebackType
from typing import IO, Any, BinaryIO, Self
from xml.sax.saxutils import escape
from zipfile import BadZipFile, ZipFile

import openpyxl
import pyarrow as pa
from openpyxl.utils.exceptions import InvalidFileException

from batch_jobs.strategies.sdk.errors import InputRefused, JobRefused
from batch_jobs.strategies.tables.formats.csv import checked_header
from batch_jobs.strategies.tables.formats.reading import Batch, Source
from batch_jobs.strategies.tables.selecting import SelectedColumn
from batch_jobs.strategies.tables.values.formulas import neutralise as neutralised

ROWS = 5_000
SHEETS = "xl/worksheets/"  # these are read row by row
LARGEST_TEXTS = 1 << 28  # bytes


class XlsxReader:
    """The first sheet of an Excel file; a line is the sheet's row. Formulas count as their values."""

    def __init__(self, source: Source, name: str, rows: int = ROWS) -> None:
        self._source, self._name, self._rows = source, name, rows
        for _, cells in self._sheet():
            header = list(cells)
            while header and header[-1] is None:
                header.pop()
            self.columns = checked_header([cell or "" for cell in header], name)
            break
        else:
            raise InputRefused(name, "the first sheet is empty; it needs at least a row with the names of the columns")
        self.described = {"format": "xlsx"}

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""
        rows = self._sheet()
        next(rows)
        held: list[tuple[int, list[str | None]]] = []
        for line, cells in rows:
            if start is None or line >= start["line"]:
                held.append((line, cells))
            if len(held) == self._rows:
                yield self._batch(held)
                held = []
        if held:
            yield self._batch(held)

    def _batch(self, held: list[tuple[int, list[str | None]]]) -> Batch:
        padded = [[*cells[: len(self.columns)], *[None] * (len(self.columns) - len(cells))] for _, cells in held]
        columns = [pa.array(cells, pa.string()) for cells in zip(*padded, strict=True)]
        lines = pa.array([line for line, _ in held], pa.int64())
        return Batch(pa.table(columns, names=self.columns), lines, [], {"line": held[0][0]})

    def _sheet(self) -> Iterator[tuple[int, list[str | None]]]:
        """Rows that have a value, with their number."""
        with self._source() as stream:
            try:
                self._refuse_bomb(stream)
                book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            except (BadZipFile, InvalidFileException, KeyError, ValueError, OSError):
                raise InputRefused(self._name, "this is not an Excel file (.xlsx), or it is damaged") from None
            try:
                for line, values in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
                    if any(value is not None for value in values):
                        yield line, [_text(value) for value in values]
            finally:
                book.close()

    def _refuse_bomb(self, stream: BinaryIO) -> None:
        """The texts of a workbook are read whole, so what they unpack to is looked at first."""
        texts = [info.file_size for info in ZipFile(stream).infolist() if not info.filename.startswith(SHEETS)]
        if sum(texts) > LARGEST_TEXTS:
            raise InputRefused(self._name, f"its texts unpack to more than {LARGEST_TEXTS >> 20} MB")
        stream.seek(0)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


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
