"""Rows of a sheet: cells put under the columns of its header."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.rejects import SURPLUS_COLUMN
from batch_jobs.strategies.tables.formats.reading import BadCell, BadRow, Batch
from batch_jobs.strategies.tables.formats.xlsx.cells import Cells
from batch_jobs.strategies.tables.formats.xlsx.texts import Read

MOST_CELLS = 1 << 21  # of a batch, those without a value included


@dataclass
class Rows:
    """Some rows that have a value: their numbers, their cells by column, and by number what is wrong with them."""

    lines: npt.NDArray[np.int64]
    table: pa.Table
    #: Which cells are text in the workbook.
    texts: pa.Table
    wrong: list[tuple[int, str, str]] = field(default_factory=list)
    #: Row number -> the width of the row, and the cells beyond the header.
    surplus: dict[int, tuple[int, list[str]]] = field(default_factory=dict)

    def slice(self, start: int, end: int) -> "Rows":
        """The rows from one index to another."""
        if start == 0 and end >= len(self.lines):
            return self
        lines = self.lines[start:end]
        low, high = (int(lines[0]), int(lines[-1])) if len(lines) else (0, -1)
        wrong = [found for found in self.wrong if low <= found[0] <= high]
        surplus = {line: found for line, found in self.surplus.items() if low <= line <= high}
        count = end - start
        return Rows(lines, self.table.slice(start, count), self.texts.slice(start, count), wrong, surplus)

    def batch(self) -> Batch:
        """The rows as a batch."""
        start = {"line": int(self.lines[0])}
        bad = sorted(self.surplus)
        good = ~np.isin(self.lines, bad)
        lines = self.lines[good]
        rejected = self.table.filter(pa.array(~good)).to_pylist() if bad else []
        bad_rows = [self._bad_row(line, row) for line, row in zip(bad, rejected, strict=True)]
        bad_cells = [
            BadCell(int(np.searchsorted(lines, line)), column, message)
            for line, column, message in self.wrong
            if line not in self.surplus
        ]
        table, marks = self.table, self.texts
        if bad:
            table, marks = table.filter(pa.array(good)), marks.filter(pa.array(good))
        texts = {
            name: pa.concat_arrays(column.chunks)
            for name, column in zip(marks.column_names, marks.columns, strict=True)
            if pc.any(column).as_py()
        }
        return Batch(table, pa.array(lines), bad_rows, start, bad_cells, texts)

    def _bad_row(self, line: int, row: dict[str, str | None]) -> BadRow:
        width, beyond = self.surplus[line]
        message = f"has {width} cells where the header has {self.table.num_columns}"
        return BadRow(line, message, {**row, SURPLUS_COLUMN: ",".join(beyond)})


def joined(parts: list[Rows]) -> Rows:
    """Rows after each other, as one."""
    if len(parts) == 1:
        return parts[0]
    wrong = [found for part in parts for found in part.wrong]
    surplus = {line: found for part in parts for line, found in part.surplus.items()}
    lines = np.concatenate([part.lines for part in parts])
    table, texts = (
        pa.concat_tables(tables) for tables in zip(*((part.table, part.texts) for part in parts), strict=True)
    )
    return Rows(lines, table, texts, wrong, surplus)


def no_rows(columns: list[str], line: int) -> Batch:
    """A batch without rows."""
    table = pa.table({name: pa.array([], pa.string()) for name in columns})
    return Batch(table, pa.array([], pa.int64()), [], {"line": line})


def rows_of(cells: Cells, read: Read, columns: list[str], first: int) -> Iterator[Rows]:
    """The rows with a value, from a row's number on, in pieces that memory holds whatever their width.

    Args:
        cells: of whole rows.
        read: what they say.
        columns: of the header.
        first: the number of the first row that is wanted.
    """
    filled = read.texts.is_valid().to_numpy(zero_copy_only=False)
    filled[[index for index, _ in read.wrong]] = True
    has_value = np.bincount(cells.row[filled], minlength=len(cells.lines)) > 0
    kept = np.flatnonzero(has_value & (cells.lines >= first))
    step = max(1, MOST_CELLS // len(columns))
    for start in range(0, len(kept), step):
        yield _piece(cells, read, columns, kept[start : start + step])


def _piece(cells: Cells, read: Read, columns: list[str], kept: npt.NDArray[np.int64]) -> Rows:
    place = np.full(len(cells.lines), -1)
    place[kept] = np.arange(len(kept))
    row = place[cells.row]
    inside = np.flatnonzero((row >= 0) & (cells.column < len(columns)))
    where = np.full((len(columns), len(kept)), -1, np.int32)
    where[cells.column[inside], row[inside]] = inside
    table = pa.table([_taken(read.texts, places) for places in where], names=columns)
    is_text = np.append(read.is_text, False)  # the last one is where there is no cell
    rows = Rows(cells.lines[kept], table, pa.table([pa.array(is_text[places]) for places in where], names=columns))
    rows.surplus = _surplus(cells, read, len(columns), np.flatnonzero(row >= 0))
    rows.wrong = [
        (int(cells.lines[cells.row[index]]), columns[cells.column[index]], message)
        for index, message in read.wrong
        if row[index] >= 0 and cells.column[index] < len(columns)
    ]
    return rows


def _taken(texts: pa.StringArray, places: npt.NDArray[np.int32]) -> pa.StringArray:
    missing = places < 0
    return texts.take(pa.array(places, mask=missing) if missing.any() else pa.array(places))


def _surplus(cells: Cells, read: Read, width: int, kept: npt.NDArray[np.int64]) -> dict[int, tuple[int, list[str]]]:
    """Rows with a value beyond the header; cells without one are no fault."""
    beyond = kept[cells.column[kept] >= width]
    if not len(beyond):
        return {}
    unknown = {index for index, _ in read.wrong}
    found: dict[int, tuple[int, list[str]]] = {}
    for index, text in zip(beyond.tolist(), read.texts.take(pa.array(beyond)).to_pylist(), strict=True):
        if text or index in unknown:
            line, column = int(cells.lines[cells.row[index]]), int(cells.column[index]) + 1
            before, others = found.get(line, (0, []))
            found[line] = (max(before, column), [*others, text or ""])
    return found


def first_rows(cells: Cells, texts: pa.StringArray, first: int, most: int) -> list[tuple[int, list[str | None]]]:
    """The cells of the first rows with a value, from a row's number on, each as wide as it is."""
    found: dict[int, list[str | None]] = {}
    filled = pc.indices_nonzero(pc.is_valid(texts)).to_numpy()
    filled = filled[cells.lines[cells.row[filled]] >= first]
    for index in filled.tolist():
        line, column = int(cells.lines[cells.row[index]]), int(cells.column[index])
        if line not in found and len(found) == most:
            break
        row = found.setdefault(line, [])
        row += [None] * (column + 1 - len(row))
        row[column] = texts[index].as_py()
    return list(found.items())
