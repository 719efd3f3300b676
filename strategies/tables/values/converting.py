"""A batch of the file as rows of the table: typed, with every bad cell found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Table

from batch_jobs.strategies.sdk.rejects import SURPLUS_COLUMN, Reject
from batch_jobs.strategies.tables.formats.reading import Batch
from batch_jobs.strategies.tables.importing.keys import canonical
from batch_jobs.strategies.tables.values.formulas import restore
from batch_jobs.strategies.tables.values.kinds import Kind, kind_of, missing
from batch_jobs.strategies.tables.values.options import ValueOptions

SURPLUS = "more cells than the header has columns; correct the row and empty this cell"


@dataclass
class Checked:
    """A batch converted: ``rows`` holds all its rows by the table's columns, ``good`` marks those without bad cells."""

    batch: Batch
    rows: pa.Table
    key: list[str]
    good: npt.NDArray[np.bool_]
    rejects: list[Reject] = field(default_factory=list)

    @cached_property
    def lines(self) -> npt.NDArray[np.int64]:
        """Where each row starts in the file."""
        lines: npt.NDArray[np.int64] = self.batch.lines.to_numpy()
        return lines

    @property
    def count(self) -> int:
        """All rows, those included that could not even be read."""
        return int(self.rows.num_rows) + len(self.batch.bad_rows)

    def input_row(self, index: int) -> dict[str, str | None]:
        """A row as it was read."""
        row: dict[str, str | None] = self.batch.table.slice(index, 1).to_pylist()[0]
        return row

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

    def refuse_repeats(self, first_lines: dict[int, int]) -> None:
        """Refuse rows whose key is on an earlier line: line -> that line."""
        if first_lines:
            for index in np.flatnonzero(np.isin(self.lines, list(first_lines))).tolist():
                place = self.batch.place(first_lines[int(self.lines[index])])
                self.refuse(index, f"key {self.key_text(index)} is already on {place}")


class Converter:
    """Turns batches of text into rows of the table.

    Args:
        table: where they go; need not exist yet.
        mapping: file column -> table column.
        key: the columns of the key, which may not be empty.
        restores: whether the file may have formulas that an export neutralised.
        options: how cells are understood.
    """

    def __init__(
        self,
        table: Table,
        mapping: dict[str, str],
        key: list[str],
        restores: bool,
        options: ValueOptions | None = None,
    ) -> None:
        self._mapping = mapping
        self._kinds: dict[str, Kind] = {column: kind_of(table.columns[column]) for column in mapping.values()}
        self._missing = {column: missing(table.columns[column]) for column in mapping.values()}
        self._missing |= dict.fromkeys(key, "is part of the key and may not be empty")
        self._key = key
        self._restores = restores
        self._options = options or ValueOptions()

    def check(self, batch: Batch) -> Checked:
        """Convert a batch; all that is wrong with a row is reported, not only the first thing."""
        values: dict[str, pa.Array] = {}
        bad: list[tuple[int, str, str]] = []
        for name, column in self._mapping.items():
            values[column], wrong = self._convert(column, _whole(batch.table.column(name)))
            bad += [(index, name, message) for index, message in wrong]
        bad += [(cell.index, cell.column, cell.message) for cell in batch.bad_cells if cell.column in self._mapping]
        bad += _surplus(batch.table)
        checked = Checked(batch, pa.table(values), self._key, np.ones(batch.table.num_rows, dtype=np.bool_))
        checked.rejects = [Reject(row.line, None, row.message, row.row) for row in batch.bad_rows]
        for index, name, message in sorted(bad, key=lambda found: found[0]):
            checked.refuse(index, message, name)
        return checked

    def _convert(self, column: str, cells: pa.Array) -> tuple[pa.Array, Sequence[tuple[int, str]]]:
        converted = self._kinds[column].convert(restore(cells) if self._restores else cells)
        message = self._missing[column]
        if not message or not converted.values.null_count:
            return converted.values, converted.bad
        known = {index for index, _ in converted.bad}
        empty = np.flatnonzero(pc.is_null(converted.values).to_numpy(zero_copy_only=False)).tolist()
        return converted.values, [*converted.bad, *((index, message) for index in empty if index not in known)]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _surplus(table: pa.Table) -> list[tuple[int, str, str]]:
    if SURPLUS_COLUMN not in table.column_names:
        return []
    filled = pc.not_equal(pc.fill_null(_whole(table.column(SURPLUS_COLUMN)), ""), "")
    return [
        (index, SURPLUS_COLUMN, SURPLUS) for index in np.flatnonzero(filled.to_numpy(zero_copy_only=False)).tolist()
    ]
