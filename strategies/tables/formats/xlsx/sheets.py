"""Writing a workbook of as many sheets as its rows need, as a stream that goes in one direction."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

from batch_jobs.strategies.tables.formats.xlsx.writing import (
    MAIN,
    MAX_ROWS,
    OFFICE,
    PACKAGE,
    SHEET,
    TYPE,
    XlsxWriter,
)

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.selecting import SelectedColumn

CONTENT_TYPES, WORKBOOK, LINKS = "[Content_Types].xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
#: Whatever part has no type of its own here is a sheet: how many there will be is not known when this is written.
TYPES = (
    f'<Types xmlns="{PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Default Extension="xml" ContentType="{TYPE}.worksheet+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{TYPE}.styles+xml"/></Types>'
)


class SheetsWriter(XlsxWriter):
    """Sheet1, Sheet2 …, each with the header; a new one begins where one is full.

    Args:
        stream: the file.
        columns: of each sheet.
        neutralise: whether texts that begin like formulas are made harmless.
        rows_per_sheet: the header among them.
    """

    def __init__(
        self, stream: BinaryIO, columns: "list[SelectedColumn]", neutralise: bool, rows_per_sheet: int = MAX_ROWS
    ) -> None:
        self._most, self._sheets = rows_per_sheet, 0
        super().__init__(stream, columns, neutralise)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_sheet()
        numbers = range(1, self._sheets + 1)
        sheets = "".join(f'<sheet name="Sheet{number}" sheetId="{number}" r:id="rId{number}"/>' for number in numbers)
        links = "".join(
            f'<Relationship Id="rId{number}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number in numbers
        )
        styles = f'<Relationship Id="rId{self._sheets + 1}" Type="{OFFICE}/styles" Target="styles.xml"/>'
        super()._write_parts(
            {
                WORKBOOK: f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{sheets}</sheets></workbook>',
                LINKS: f'<Relationships xmlns="{PACKAGE}/relationships">{links}{styles}</Relationships>',
            }
        )
        self._package.close()

    def write(self, rows: pa.Table) -> None:
        """Write rows.

        Raises:
            JobRefused: a cell is larger than Excel allows, or a character cannot be written.
        """
        while rows.num_rows:
            if self._rows == self._most:
                self._end_sheet()
                self._begin_sheet(SHEET)
            room = self._most - self._rows
            super().write(rows.slice(0, room))
            rows = rows.slice(room)

    def _write_parts(self, parts: Mapping[str, str]) -> None:
        """What is known before the sheets are."""
        known = {name: content for name, content in parts.items() if name not in (WORKBOOK, LINKS)}
        super()._write_parts({**known, CONTENT_TYPES: TYPES})

    def _begin_sheet(self, name: str) -> None:
        self._sheets += 1
        super()._begin_sheet(f"xl/worksheets/sheet{self._sheets}.xml")
