"""A batch of the file as rows of the table: typed, with every bad cell found."""

import json
from collections.abc import Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, Table, types

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.rejects import SURPLUS_COLUMN, Reject
from batch_jobs.strategies.tables.formats.arrow_text import as_text, row_as_text
from batch_jobs.strategies.tables.formats.reading import BadCell, Batch
from batch_jobs.strategies.tables.importing.keys import canonical
from batch_jobs.strategies.tables.values.arrays import Converted, exactly, rounded
from batch_jobs.strategies.tables.values.formulas import restore
from batch_jobs.strategies.tables.values.kinds import Kind, kind_of, missing
from batch_jobs.strategies.tables.values.notation import Notation, emptied, notation_of, read_plain
from batch_jobs.strategies.tables.values.options import ValueOptions

Mask = npt.NDArray[np.bool_]

SURPLUS = "more cells than the header has columns; correct the row and empty this cell"


@dataclass
class Checked:
    """A batch converted: ``rows`` holds all its rows by the table's columns, ``good`` marks those without bad cells."""

    batch: Batch
    rows: pa.Table
    key: list[str]
    good: npt.NDArray[np.bool_]
    rejects: list[Reject] = field(default_factory=list)
    #: By column, the cells to be left: as they are in the table, or as the column has them by itself.
    absent: dict[str, Mask] = field(default_factory=dict)

    @cached_property
    def lines(self) -> npt.NDArray[np.int64]:
        """Where each row starts in the file."""
        lines: npt.NDArray[np.int64] = self.batch.lines.to_numpy()
        return lines

    @property
    def count(self) -> int:
        """All rows of the input, those included that could not even be read."""
        return len(self.input_lines) + len(self.batch.bad_rows)

    @property
    def input_lines(self) -> npt.NDArray[np.int64]:
        """Where each row of the input starts that could be read, whatever was made of it."""
        return self.lines if self.batch.origin is None else self.batch.origin.lines

    def input_row(self, index: int) -> dict[str, str | None]:
        """The row of the input, as it was read."""
        origin = self.batch.origin
        table, place = (self.batch.table, index) if origin is None else (origin.table, int(origin.rows[index]))
        return row_as_text(table, place)

    def key_columns(self) -> list[pa.ChunkedArray]:
        """The key's columns."""
        return [self.rows.column(name) for name in self.key]

    def key_text(self, index: int) -> str:
        """A row's key for people: ``code=X, region=Y``."""
        return ", ".join(f"{name}={text}" for name, text in zip(self.key, self.key_at(index), strict=True))

    def key_at(self, index: int) -> list[str]:
        """A row's key as text; two keys are equal when their texts are."""
        return [str(canonical(column.slice(index, 1))[0].as_py()) for column in self.key_columns()]

    def refuse(self, index: int, message: str, column: str | None = None) -> Reject:
        """Refuse a row that was good until now."""
        self.good[index] = False
        reject = Reject(int(self.lines[index]), column, message, self.input_row(index))
        self.rejects.append(reject)
        return reject

    def refuse_with_input(self, refused: list[Reject]) -> None:
        """Refuse rows of the input, and with each all that was made of it: it is to be corrected and loaded again."""
        self.rejects += refused
        lines = {reject.line for reject in self.rejects}
        if lines:
            self.good &= ~np.isin(self.lines, list(lines))

    def refuse_repeats(self, first_lines: dict[int, int]) -> None:
        """Refuse rows whose key is on an earlier line: line -> that line."""
        if first_lines:
            rows = np.flatnonzero(np.isin(self.lines, list(first_lines)))
            for line, siblings in groupby(rows.tolist(), lambda index: int(self.lines[index])):
                place, made = self.batch.place(first_lines[line]), list(siblings)
                keys = " or ".join(self.key_text(index) for index in made)  # several where a row was made into several
                self.good[made] = False
                self.refuse(made[0], f"key {keys} is already on {place}")


class Converter:
    """Turns batches of text into rows of the table.

    Args:
        table: where they go; need not exist yet.
        mapping: file column -> table column.
        key: the columns of the key, which may not be empty.
        restores: whether the file may have formulas that an export neutralised.
        options: how cells are understood.
        typed: whether the file has types of its own, so that only its texts may be in a notation of their own.
        has_json: whether it has JSON of its own, so that its texts are texts in JSON too.
    """

    def __init__(
        self,
        table: Table,
        mapping: dict[str, str],
        key: list[str],
        restores: bool,
        options: ValueOptions | None = None,
        *,
        typed: bool = False,
        has_json: bool = False,
    ) -> None:
        self._options = options or ValueOptions()
        self._mapping = mapping
        self._key = key
        self._restores, self._typed = restores, typed
        self._columns = {
            name: _column(name, table.columns[column], column in key, self._options, has_json)
            for name, column in mapping.items()
        }
        self._defaults = {
            name: _default(column, self._columns[name], self._options.defaults[column])
            for name, column in mapping.items()
            if column in self._options.defaults
        }

    def check(self, batch: Batch) -> Checked:
        """Convert a batch; all that is wrong with a row is reported, not only the first thing."""
        values: dict[str, pa.Array] = {}
        absent: dict[str, Mask] = {}
        bad = [(cell.index, cell.column, cell.message) for cell in batch.bad_cells if self._is_wanted(batch, cell)]
        unread: dict[str, set[int]] = {}
        for index, name, _ in bad:
            unread.setdefault(name, set()).add(index)
        for name, column in self._mapping.items():
            converted, left = self._convert(batch, name, unread.get(name, frozenset()))
            values[column] = converted.values
            bad += [(index, name, message) for index, message in converted.bad]
            if left is not None and left.any():
                absent[column] = left
        bad += _surplus(batch.table)
        checked = Checked(
            batch, pa.table(values), self._key, np.ones(batch.table.num_rows, dtype=np.bool_), absent=absent
        )
        checked.rejects = [Reject(row.line, None, row.message, row.row) for row in batch.bad_rows]
        for index, name, message in sorted(bad, key=lambda found: found[0]):
            checked.refuse(index, message, name)
        if batch.origin is not None:
            checked.refuse_with_input(batch.origin.refused)
        return checked

    def _is_wanted(self, batch: Batch, cell: BadCell) -> bool:
        """Whether a cell goes into the table, and not by one of the words for nothing, such as an error of Excel's."""
        if cell.column not in self._mapping:
            return False
        text = batch.table.column(cell.column)[cell.index].as_py()
        return text is None or text.strip() not in self._options.null_values

    def _convert(self, batch: Batch, name: str, unread: Set[int]) -> tuple[Converted, Mask | None]:
        """A column's values, and which of its cells are to be left as they are or as the column has them by itself."""
        column = self._columns[name]
        if name in self._defaults and name not in batch.table.column_names:
            return Converted(pa.repeat(self._defaults[name], batch.table.num_rows)), None
        cells = _whole(batch.table.column(name))
        if name in batch.made:
            converted, filled = _held(column.kind, cells), cells
        elif name in batch.values and (exact := exactly(column.kind, batch.values[name])) is not None:
            converted, filled = Converted(exact), cells
        else:
            cells = restore(cells) if self._restores else cells
            filled = emptied(cells, self._options.null_values) if self._options.null_values else cells
            converted = self._read(column, filled, batch.texts.get(name))
        bad = list(converted.bad)
        known = {*unread, *(index for index, _ in bad)}
        if unread and column.is_key:  # nobody knows which row of the table it stands for
            unknown = pa.array([index in unread for index in range(len(cells))])
            converted = Converted(pc.if_else(unknown, pa.scalar(None, converted.values.type), converted.values))
        # a word for nothing is a value that was given
        given = _flags(pc.is_null(filled)) & _flags(pc.is_valid(cells)) if self._minds_gaps(name) else None
        if given is not None and name in self._defaults:
            converted = _filled(converted, ~given, list(known), self._defaults[name])
        left = None
        if not column.is_key and (name in batch.absent or column.leaves_empty):
            left = _flags(batch.absent.get(name), len(cells))
            if name in self._defaults:
                left &= _flags(pc.is_null(converted.values))
            if given is not None and column.leaves_empty:
                left |= _flags(pc.is_null(converted.values)) & ~given
            left[list(known)] = False
        if column.missing and converted.values.null_count:
            empty = _flags(pc.is_null(converted.values)) & ~(_flags(None, len(cells)) if left is None else left)
            bad += [(index, column.missing) for index in np.flatnonzero(empty).tolist() if index not in known]
        return Converted(converted.values, bad), left

    def _minds_gaps(self, name: str) -> bool:
        """Whether it makes a difference which cells of a column are empty."""
        return name in self._defaults or self._columns[name].leaves_empty

    def _read(self, column: "_Column", cells: pa.Array, texts: pa.BooleanArray | None) -> Converted:
        """The values of cells of text."""
        bad: list[tuple[int, str]] = []
        if column.notation is not None:
            plain = read_plain(column.notation, cells, self._typed, texts)
            cells, bad = plain.values, plain.bad
        if column.is_json_text and texts is not None:
            written = [None if cell is None else json.dumps(cell, ensure_ascii=False) for cell in cells.to_pylist()]
            cells = pc.if_else(texts, pa.array(written, pa.string()), cells)
        converted = column.kind.convert(cells)
        return Converted(converted.values, [*bad, *converted.bad])


@dataclass(frozen=True)
class _Column:
    """How the cells of one column become values."""

    kind: Kind
    notation: Notation | None
    missing: str | None
    is_key: bool
    leaves_empty: bool
    is_json_text: bool


def _column(name: str, column: Column[Any], is_key: bool, options: ValueOptions, has_json: bool) -> _Column:
    return _Column(
        kind_of(column, options.time_zone),
        notation_of(column.type, options, name, column.name),
        "is part of the key and may not be empty" if is_key else missing(column),
        is_key,
        options.empty == "keep" or (options.empty == "default" and missing(column, has_default=True) is None),
        has_json and isinstance(column.type, types.JSON),
    )


def _default(name: str, column: _Column, text: str) -> pa.Scalar:
    """What the option ``defaults`` gives a column of the table.

    Raises:
        JobRefused: the column cannot hold it.
    """
    plain = Converted(pa.array([text], pa.string()))
    if column.notation is not None:
        plain = column.notation.plain(plain.values)
    found = column.kind.convert(plain.values)
    for _, message in [*plain.bad, *found.bad]:
        raise JobRefused(f"defaults gives {name} a value that it cannot hold: {message}")
    if not found.values[0].is_valid:
        raise JobRefused(f"defaults gives {name} no value; leave it out")
    return found.values[0]


def _filled(converted: Converted, empty: Mask, bad: list[int], value: pa.Scalar) -> Converted:
    """Values, with another one in place of those that are not there; what is bad stays so."""
    wanted = empty & _flags(pc.is_null(converted.values))
    wanted[bad] = False
    return Converted(pc.if_else(pa.array(wanted), value.cast(converted.values.type), converted.values), converted.bad)


def _held(kind: Kind, values: pa.Array) -> Converted:
    """Values that are no text to be read."""
    exact = exactly(kind, values)
    if exact is not None:
        return Converted(exact)
    texts, bad = as_text(values)
    if kind.takes is not None and pa.types.is_decimal(kind.takes) and pa.types.is_floating(values.type):
        texts = pc.coalesce(rounded(values, kind.takes.scale).cast(pa.string()), texts)
    converted = kind.convert(texts)
    return Converted(converted.values, [*bad, *converted.bad])


def _flags(values: pa.BooleanArray | None, size: int = 0) -> Mask:
    """A mask that may be written to; nothing is marked where there is none."""
    return np.zeros(size, np.bool_) if values is None else np.array(values.to_numpy(zero_copy_only=False), np.bool_)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _surplus(table: pa.Table) -> list[tuple[int, str, str]]:
    if SURPLUS_COLUMN not in table.column_names:
        return []
    filled = pc.not_equal(pc.fill_null(_whole(table.column(SURPLUS_COLUMN)), ""), "")
    return [
        (index, SURPLUS_COLUMN, SURPLUS) for index in np.flatnonzero(filled.to_numpy(zero_copy_only=False)).tolist()
    ]
