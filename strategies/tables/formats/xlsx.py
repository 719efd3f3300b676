"""Excel files: reading the first sheet, and writing as a stream."""

import re
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from copy import copy
from datetime import date, datetime, time
from itertools import islice
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, BinaryIO, ClassVar, Self
from xml.sax.saxutils import escape
from zipfile import BadZipFile, ZipFile

import pyarrow as pa

from batch_jobs.strategies.sdk.errors import InputRefused, JobRefused
from batch_jobs.strategies.tables.formats.format import Format, WriteOptions, Writer
from batch_jobs.strategies.tables.formats.header import checked_header
from batch_jobs.strategies.tables.formats.reading import Batch, Input, Reader, ReadOptions
from batch_jobs.strategies.tables.values.formulas import neutralise as neutralised

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.selecting import SelectedColumn

ROWS = 5_000
SHEETS = "xl/worksheets/"  # these are read row by row
LARGEST_TEXTS = 1 << 28  # bytes
#: Workbooks that unpack to no more bytes are read whole, by calamine.
READ_WHOLE = 1 << 26

Row = tuple[int, list[str | None]]


class XlsxReader(Reader):
    """The first sheet of an Excel file; a line is the sheet's row. Formulas count as their values.

    Args:
        source: the file.
        rows: of a batch, at most.
        read_whole: workbooks that unpack to more bytes are read as a stream, which is ten times as slow.
    """

    def __init__(self, source: Input, rows: int = ROWS, read_whole: int = READ_WHOLE) -> None:
        self._source, self._name, self._rows = source, source.name, rows
        self._whole = self._read_whole(read_whole)
        for _, cells in self._sheet():
            header = list(cells)
            while header and header[-1] is None:
                header.pop()
            self.columns = checked_header([cell or "" for cell in header], self._name)
            break
        else:
            raise InputRefused(
                self._name, "the first sheet is empty; it needs at least a row with the names of the columns"
            )
        self.described = {"format": "xlsx"}

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""
        rows = self._sheet()
        next(rows)
        wanted = (row for row in rows if start is None or row[0] >= start["line"])
        while held := list(islice(wanted, self._rows)):
            yield self._batch(held)

    def _batch(self, held: list[Row]) -> Batch:
        padded = [[*cells[: len(self.columns)], *[None] * (len(self.columns) - len(cells))] for _, cells in held]
        columns = [pa.array(cells, pa.string()) for cells in zip(*padded, strict=True)]
        lines = pa.array([line for line, _ in held], pa.int64())
        return Batch(pa.table(columns, names=self.columns), lines, [], {"line": held[0][0]})

    def _read_whole(self, largest: int) -> Any:
        """The sheet by calamine; ``None`` where the workbook is too large, or calamine would read it otherwise."""
        import python_calamine

        with self._source.seekable() as stream:
            try:
                with ZipFile(stream) as book:
                    self._refuse_bomb(book)
                    if sum(info.file_size for info in book.infolist()) > largest or not _reads_alike(book):
                        return None
                stream.seek(0)
                workbook = python_calamine.CalamineWorkbook.from_filelike(stream)
                kinds = [sheet.typ for sheet in workbook.sheets_metadata]
                return workbook.get_sheet_by_index(kinds.index(python_calamine.SheetTypeEnum.WorkSheet))
            except (BadZipFile, KeyError, ValueError, OSError, python_calamine.CalamineError):
                return None  # openpyxl may read it all the same, or refuse it

    def _sheet(self) -> Iterator[Row]:
        """Rows that have a value, with their number."""
        if self._whole is None:
            yield from self._streamed()
            return
        for line, values in enumerate(self._whole.iter_rows(), 1):
            cells = [_text(value) or None for value in values]
            if any(cell is not None for cell in cells):
                yield line, cells

    def _streamed(self) -> Iterator[Row]:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException

        with self._source.seekable() as stream:
            try:
                with ZipFile(stream) as package:
                    self._refuse_bomb(package)
                stream.seek(0)
                book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            except (BadZipFile, InvalidFileException, KeyError, ValueError, OSError):
                raise InputRefused(self._name, "this is not an Excel file (.xlsx), or it is damaged") from None
            try:
                for line, values in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
                    if any(value is not None for value in values):
                        yield line, [_text(value) for value in values]
            finally:
                book.close()

    def _refuse_bomb(self, book: ZipFile) -> None:
        """The texts of a workbook are read whole, so what they unpack to is looked at first."""
        texts = [info.file_size for info in book.infolist() if not info.filename.startswith(SHEETS)]
        if sum(texts) > LARGEST_TEXTS:
            raise InputRefused(self._name, f"its texts unpack to more than {LARGEST_TEXTS >> 20} MB")


#: What calamine reads otherwise than openpyxl, or does not tell from an empty cell: errors, empty texts, whole numbers
#: of more than 15 digits, ISO dates, escaped characters, readings of Japanese words. Prefixed names and quotes of the
#: other kind would hide these.
_OTHERWISE = (
    b't="e"', b't="d"', b"></t>", b"<t/>", b"<t />", b"<si/>", b'preserve"/>', b"></v>", b"<v/>", b"<v />", b"_x",
    b"<rPh", b"='", b"<x:", b"<![CDATA[",
)  # fmt: skip
_LONG_NUMBER = re.compile(rb"<v>-?\d{16}")
#: Custom formats that both take for a date, or both for a number.
_DATE_FORMAT = re.compile(
    r"(\[\$-[0-9A-Fa-f]+\])?[dmyhs]{1,4}([-/.: \\]+[dmyhs]{1,4})+(\.0+)?( AM/PM)?(;@)?", re.IGNORECASE
)
_NUMBER_FORMAT = re.compile(r"[#0,.%?_\-() ;\"€$£]*")
_FORMAT_CODE = re.compile(rb'formatCode="([^"]*)"')
_STYLES = re.compile(rb"<cellXfs.*?</cellXfs>", re.DOTALL)
_FORMAT_ID = re.compile(rb'<xf [^>]*numFmtId="(\d+)"')
_DATES = {*range(14, 23), 45, 47}
_OTHERWISE_FORMATS = {*range(27, 37), 46, *range(50, 59)}  # of Asian calendars, and of elapsed time
_FIRST_CUSTOM = 164


def _reads_alike(book: ZipFile) -> bool:
    """Whether calamine surely reads every cell of a workbook as openpyxl does, seen by what there is not in its XML."""
    styles = book.read("xl/styles.xml") if "xl/styles.xml" in book.namelist() else b""
    strange_date = _strange_date(styles)
    if strange_date is None:
        return False
    for info in book.infolist():
        if not info.filename.startswith("xl/") or not info.filename.endswith(".xml"):
            continue
        content = _unpacked(book, info)
        # a line's end inside a text is told apart from one behind the declaration
        if content is None or any(mark in content for mark in _OTHERWISE) or b"\r" in content[200:]:
            return False
        if info.filename.startswith(SHEETS) and (_LONG_NUMBER.search(content) or strange_date.search(content)):
            return False
    return True


def _unpacked(book: ZipFile, info: zipfile.ZipInfo) -> bytes | None:
    """A part of the package; ``None`` where it is larger than it says, which calamine would not notice."""
    wider = copy(info)
    wider.file_size += 1
    with book.open(wider) as part:
        content = part.read()
    return content if len(content) == info.file_size else None


def _strange_date(styles: bytes) -> re.Pattern[bytes] | None:
    """Finds a cell that is shown as a date and is none; ``None`` where not even the formats are sure to be alike."""
    codes = [code.decode().replace("&quot;", '"') for code in _FORMAT_CODE.findall(styles)]
    if not all(_DATE_FORMAT.fullmatch(code) or _NUMBER_FORMAT.fullmatch(code) for code in codes if code != "General"):
        return None
    used = _STYLES.search(styles)
    formats = [int(number) for number in _FORMAT_ID.findall(used[0] if used else b"")]
    if _OTHERWISE_FORMATS.intersection(formats):
        return None
    dates = [index for index, number in enumerate(formats) if number in _DATES or number >= _FIRST_CUSTOM]
    cells = "|".join(map(str, dates)) or "none"
    return re.compile(rf's="({cells})"[^>]*>(<f[^<]*(/>|</f>))?<v>(-|\d{{7}})'.encode())


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

    def __init__(self, stream: BinaryIO, columns: "list[SelectedColumn]", neutralise: bool) -> None:
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

    def _cells(self, column: "SelectedColumn", cells: pa.ChunkedArray) -> list[str]:
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


class Xlsx(Format):
    """Excel workbooks."""

    name: ClassVar[str] = "xlsx"
    typed: ClassVar[bool] = True
    suffixes: ClassVar[tuple[str, ...]] = (".xlsx", ".xlsm")
    media_type: ClassVar[str] = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    magic: ClassVar[dict[bytes, str]] = {b"PK\x03\x04": "an Excel or zip file"}
    for_spreadsheets: ClassVar[bool] = True

    def reader(self, source: Input, options: ReadOptions) -> XlsxReader:
        """Open a file for reading."""
        return XlsxReader(source)

    def writer(
        self, stream: BinaryIO, columns: "list[SelectedColumn]", options: WriteOptions
    ) -> AbstractContextManager[Writer]:
        """Begin a file."""
        return XlsxWriter(stream, columns, options.neutralise)

    def check_size(self, rows: int, columns: int) -> None:
        """Refuse what does not fit on a sheet."""
        check_size(rows, columns)


FORMAT = Xlsx()
