"""Writing a workbook of one sheet as a stream."""

import zipfile
from collections.abc import Mapping
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import String
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.formats.writing import text_of
from batch_jobs.strategies.tables.formats.xlsx.written import CellRefused, written
from batch_jobs.strategies.tables.values.formulas import neutralise as neutralised

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.selecting import SelectedColumn

#: Excel's own limits.
MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384

SHEET = "xl/worksheets/sheet1.xml"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
#: How days, moments and times are shown; the first is style 1.
FORMATS = ("yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd hh:mm:ss.000", "hh:mm:ss", "hh:mm:ss.000")
PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{TYPE}.styles+xml"/>'
    f'<Override PartName="/{SHEET}" ContentType="{TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">'
    '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>',
    "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><numFmts count="{len(FORMATS)}">'
    + "".join(f'<numFmt numFmtId="{164 + style}" formatCode="{code}"/>' for style, code in enumerate(FORMATS, 1))
    + '</numFmts><fonts count="1"><font/></fonts><fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border/></borders>'
    f'<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="{len(FORMATS) + 1}"><xf xfId="0"/>'
    + "".join(f'<xf numFmtId="{164 + style}" xfId="0" applyNumberFormat="1"/>' for style in range(1, len(FORMATS) + 1))
    + '</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
}


class XlsxWriter:
    """One sheet; numbers, days and times that Excel holds exactly are such, all else is text."""

    def __init__(self, stream: BinaryIO, columns: "list[SelectedColumn]", neutralise: bool) -> None:
        self._columns = columns
        self._neutralise = neutralise
        self._package = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._write_parts(PARTS)
        self._begin_sheet(SHEET)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_sheet()
        self._package.close()

    def write(self, rows: pa.Table) -> None:
        """Write rows.

        Raises:
            JobRefused: a cell or the sheet is larger than Excel allows, or a character cannot be written.
        """
        check_size(self._rows + rows.num_rows - 1, len(self._columns))
        cells = zip(self._columns, rows.columns, strict=True)
        self._write_rows([self._column(column, texts.combine_chunks()) for column, texts in cells])

    def _write_parts(self, parts: Mapping[str, str]) -> None:
        for name, content in parts.items():
            self._package.writestr(name, _HEAD + content)

    def _begin_sheet(self, name: str) -> None:
        self._rows = 0
        self._sheet: IO[bytes] = self._package.open(name, "w", force_zip64=True)
        self._sheet.write(f'{_HEAD}<worksheet xmlns="{MAIN}"><sheetData>'.encode())
        self._write_rows([self._cells(column.name, String(), pa.array([column.name])) for column in self._columns])

    def _end_sheet(self) -> None:
        self._sheet.write(b"</sheetData></worksheet>")
        self._sheet.close()

    def _column(self, column: "SelectedColumn", texts: pa.Array) -> pa.Array:
        if self._neutralise and column.is_text:
            texts = neutralised(texts)
        return self._cells(column.name, column.type, texts)

    def _cells(self, name: str, type: TypeEngine[Any], texts: pa.Array) -> pa.Array:
        try:
            return written(type, pc.cast(texts, pa.large_string()))
        except CellRefused as refused:
            raise JobRefused(f"column {name} has {refused}; export it in another format") from refused

    def _write_rows(self, columns: list[pa.Array]) -> None:
        if columns and len(columns[0]):
            opening, closing, nothing = (pa.scalar(text, pa.large_string()) for text in ("<row>", "</row>", ""))
            lines = pc.binary_join_element_wise(opening, *columns, closing, nothing)
            self._sheet.write(text_of(lines))
            self._rows += len(lines)


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
