"""Reading the first sheet of an Excel file."""

from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile

import openpyxl
import pyarrow as pa
from openpyxl.utils.exceptions import InvalidFileException

from strategies.tabular.dialect import checked_header
from strategies.tabular.errors import InputRefused
from strategies.tabular.reading import Batch, Source

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
