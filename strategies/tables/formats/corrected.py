"""An input with corrected cells: as it would be read had they been right in the file."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from batch_jobs.strategies.sdk.corrections import Cells, CorrectedRow, Corrections
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.rejects import LINE_COLUMN, SURPLUS_COLUMN
from batch_jobs.strategies.tables.formats.format import Format
from batch_jobs.strategies.tables.formats.marks import Mark
from batch_jobs.strategies.tables.formats.reading import BadRow, Batch, Reader

#: Rows of a batch where there is no file.
ROWS = 10_000
#: How numbers, truth values, days and times are written as text that have a type of their own in a file.
PLAIN = re.compile(
    r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?|true|false|\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d(:?\d\d)?|Z)?)?",
    re.IGNORECASE,
)


class CorrectedReader(Reader):
    """Applies corrections by line while the input is read; all that is beyond them is as it was.

    Args:
        inner: reads the input.
        corrections: of it.
        format: of the input.
    """

    def __init__(self, inner: Reader, corrections: Corrections, format: Format) -> None:
        self._inner, self._corrections, self._format = inner, corrections, format

    @property
    def columns(self) -> list[str]:  # type: ignore[override]
        """The input's."""
        return self._inner.columns

    @property
    def described(self) -> dict[str, str]:  # type: ignore[override]
        """What was decided about the file, and what of it is corrected."""
        return {**self._inner.described, "corrected": str(self._corrections.head)}

    @property
    def names_its_columns(self) -> bool:  # type: ignore[override]
        """As the input does."""
        return self._inner.names_its_columns

    @property
    def types(self) -> Any:  # type: ignore[override]
        """The input's."""
        return self._inner.types

    @property
    def uncut(self) -> str | None:  # type: ignore[override]
        """Why a part of the input cannot be read by itself."""
        return self._inner.uncut

    @property
    def marks(self) -> list[Mark]:
        """Where a part of the input may begin."""
        return self._inner.marks

    @property
    def found(self) -> dict[str, Any] | None:
        """What was found out about the file."""
        return self._inner.found

    def settle(self) -> None:
        """Look at the whole input."""
        self._inner.settle()

    def batches(self, start: dict[str, Any] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""
        return self._corrected(self._inner.batches(start))

    def part(self, start: dict[str, Any] | None, until: dict[str, Any] | None) -> Iterator[Batch]:
        """The batches between two places of the input."""
        return self._corrected(self._inner.part(start, until))

    def _corrected(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        rows = self._corrections.rows()
        row = next(rows, None)
        for batch in batches:
            numbers = [*batch.lines[:1], *batch.lines[-1:]]
            lines = [*(number.as_py() for number in numbers), *(bad.line for bad in batch.bad_rows)]
            due: list[CorrectedRow] = []
            while lines and row is not None and row.number <= max(lines):
                due += [row] if row.number >= min(lines) else []
                row = next(rows, None)
            yield self._apply(batch, due) if due else batch

    def _apply(self, batch: Batch, due: list[CorrectedRow]) -> Batch:
        cells = {row.number: row.cells for row in due}
        batch = _with_mended_rows(batch, cells)
        lines: Any = batch.lines.to_numpy()
        numbers = [number for number in cells if number not in {bad.line for bad in batch.bad_rows}]
        places = np.searchsorted(lines, numbers)
        for number, place in zip(numbers, places.tolist(), strict=True):
            if place == len(lines) or lines[place] != number:
                raise JobRefused(
                    f"{self._corrections.place(number)}, which {self._corrections.key} corrects, begins no row"
                )
        by_column: dict[str, dict[int, str | None]] = {}
        for number, place in zip(numbers, places.tolist(), strict=True):
            for name, cell in cells[number].items():
                by_column.setdefault(name, {})[place] = cell
        for name, column in by_column.items():
            batch = _with_cells(batch, name, column, self._format)
        right = {(place, name) for name, column in by_column.items() for place in column}
        return replace(batch, bad_cells=[bad for bad in batch.bad_cells if (bad.index, bad.column) not in right])


class GivenRows(Reader):
    """Whole rows of corrections as all the input there is, at the lines where they were.

    They have a column of a rejects file, as that is what they are: an import of such adds to what is there.

    Args:
        corrections: the rows.
        format: of the input that they are from.
    """

    uncut = "it is of some rows of another job's input"

    def __init__(self, corrections: Corrections, format: Format) -> None:
        self._corrections, self._format = corrections, format
        self.columns = [*(name for name in corrections.head.columns if name != LINE_COLUMN), LINE_COLUMN]
        self.described = {"format": format.name, "corrected": str(corrections.head)}

    def batches(self, start: dict[str, Any] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""
        first = (start or {}).get("row", 0)
        rows = islice(self._corrections.rows(), first, None)
        while some := list(islice(rows, ROWS)):
            yield self._batch(some, first)
            first += len(some)

    def _batch(self, rows: Sequence[CorrectedRow], first: int) -> Batch:
        texts, absent, columns = {}, {}, {}
        for name in self.columns:
            cells = [row.cells.get(name) for row in rows]
            columns[name] = pa.array(cells, pa.string())
            if self._format.typed:
                texts[name] = pa.array([_is_text(cell, self._format) for cell in cells], pa.bool_())
            lacking = [name not in row.cells for row in rows]
            if any(lacking) and name != LINE_COLUMN:
                absent[name] = pa.array(lacking, pa.bool_())
        lines = pa.array([row.number for row in rows], pa.int64())
        files = tuple(file.key for file in self._corrections.head.files)
        several = files if len(files) > 1 else ()
        return Batch(pa.table(columns), lines, [], {"row": first}, texts=texts, absent=absent, files=several)


def _is_text(cell: str | None, format: Format) -> bool:
    """Whether a cell is text where cells have types: what is written as a value of one is taken for that."""
    if cell is None:
        return False
    if format.has_json:
        with suppress(ValueError):
            return isinstance(json.loads(cell), str)
        return True
    return PLAIN.fullmatch(cell.strip()) is None


def _with_mended_rows(batch: Batch, cells: dict[int, Cells]) -> Batch:
    """The batch with rows that could not be split, where their corrected cells make them whole."""
    kept: list[BadRow] = []
    mended: list[BadRow] = []
    for bad in batch.bad_rows:
        row = {**bad.row, **cells.get(bad.line, {})}
        is_whole = bad.line in cells and not row.get(SURPLUS_COLUMN)
        (mended if is_whole else kept).append(replace(bad, row=row))
    if not mended:
        return replace(batch, bad_rows=kept)
    lines = np.concatenate([batch.lines.to_numpy(), [bad.line for bad in mended]]).astype(np.int64)
    order = np.argsort(lines, kind="stable")
    place_of = np.argsort(order, kind="stable")  # old place -> new place
    names = batch.table.column_names
    given = pa.table({name: pa.array([bad.row.get(name) for bad in mended], pa.string()) for name in names})

    def among(marks: pa.BooleanArray) -> pa.BooleanArray:
        none = pa.array([False] * len(mended), pa.bool_())
        whole = marks.combine_chunks() if isinstance(marks, pa.ChunkedArray) else marks
        return pa.concat_arrays([whole, none]).take(pa.array(order))

    return replace(
        batch,
        table=pa.concat_tables([batch.table, given]).take(pa.array(order)).combine_chunks(),
        lines=pa.array(lines[order], pa.int64()),
        bad_rows=kept,
        bad_cells=[replace(cell, index=int(place_of[cell.index])) for cell in batch.bad_cells],
        texts={name: among(marks) for name, marks in batch.texts.items()},
        absent={name: among(marks) for name, marks in batch.absent.items()},
    )


def _with_cells(batch: Batch, name: str, cells: dict[int, str | None], format: Format) -> Batch:
    """The batch with other cells in a column, by their places."""
    table, rows = batch.table, batch.table.num_rows
    absent = dict(batch.absent)
    if name not in table.column_names:
        if name == SURPLUS_COLUMN and not any(cells.values()):
            return batch
        table = table.append_column(name, pa.nulls(rows, pa.string()))
        absent[name] = pa.array([True] * rows, pa.bool_())
    values = table.column(name).to_pylist()
    for place, cell in cells.items():
        values[place] = cell
    index = table.column_names.index(name)
    texts = dict(batch.texts)
    if format.typed:
        known = texts.get(name)
        marks = [False] * rows if known is None else known.to_pylist()
        for place, cell in cells.items():
            marks[place] = _is_text(cell, format)
        texts[name] = pa.array(marks, pa.bool_())
    if name in absent:
        flags = absent[name].to_pylist()
        for place in cells:
            flags[place] = False
        absent[name] = pa.array(flags, pa.bool_())
    return replace(
        batch, table=table.set_column(index, name, pa.array(values, pa.string())), texts=texts, absent=absent
    )
