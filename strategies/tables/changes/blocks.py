"""Rows of the change log as Arrow tables: the key, the line, and what each column was before and after.

A column of the key is called ``=name``, what a column held before the job ``-name``, and afterwards ``+name``. Created
rows have only ``+``, removed ones only ``-``; an updated row has both of a column, and neither where the column did not
change. Values are of Arrow's types where they came that way, else texts from which the database makes the same again.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.change_log import Kind, LoggedBlock
from batch_jobs.strategies.tables.changes.sieve import sieve_of
from batch_jobs.strategies.tables.changes.stored import UndecodableText, is_mixed, stored_values

KEY, BEFORE, AFTER = "=", "-", "+"
LINE = "line"
#: What rows of several tables go back together as, such as the id of their product; null where a row stands by itself.
GROUP = "group"


@dataclass(frozen=True)
class ChangedRows:
    """Rows of one table to which the same was done, and in ``rows`` what that was.

    Args:
        table: its name, with its schema if it was given with one.
        kind: what was done to them.
        key: the columns that tell them apart.
        rows: as this module says.
        is_common: whether other partitions of the job may use the rows.
    """

    table: str
    kind: Kind
    key: list[str]
    rows: pa.Table
    is_common: bool = False

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @property
    def columns(self) -> list[str]:
        """The names of the columns with values, but for the key's."""
        named = dict.fromkeys(name[1:] for name in self.rows.column_names if name[0] in (BEFORE, AFTER))
        return list(named)

    def changed(self, column: str) -> npt.NDArray[np.bool_]:
        """In which rows a column has changed."""
        sides = [self.rows.column(mark + column) for mark in (BEFORE, AFTER) if mark + column in self.rows.column_names]
        masks = [pc.is_valid(side).to_numpy() for side in sides]
        found: npt.NDArray[np.bool_] = np.logical_or.reduce(masks)
        return found

    @property
    def counts(self) -> dict[str, int]:
        """In how many of the rows each column has changed."""
        if self.kind == "updated":
            return {column: int(self.changed(column).sum()) for column in self.columns}
        marked = ((name[1:], self.rows.column(name)) for name in self.rows.column_names if name[0] in (BEFORE, AFTER))
        return {name: len(self) - column.null_count for name, column in marked}

    def encoded(self) -> LoggedBlock:
        """As the log keeps it."""
        sieve, data = sieve_of(keys_as_text(self)), packed(self.rows)
        return LoggedBlock(self.table, self.kind, self.key, len(self), self.counts, sieve, data, self.is_common)


def keys_as_text(changed: ChangedRows) -> pa.Table:
    """The keys of rows as people and the log's sieve have them, whatever else is in their columns."""
    rows = changed.rows
    fields = [rows.schema.field(KEY + name) for name in changed.key]
    return pa.table([as_text(rows.column(one.name), one) for one in fields], names=list(changed.key))


def without_lines(changed: ChangedRows, lines: Collection[int]) -> ChangedRows:
    """The rows that do not come from some lines of the input."""
    if not lines or LINE not in changed.rows.column_names:
        return changed
    is_left_out = pc.is_in(changed.rows.column(LINE), pa.array(list(lines), pa.int64()))
    return replace(changed, rows=changed.rows.filter(pc.invert(is_left_out)))


def packed(rows: pa.Table, compression: Literal["zstd", "lz4"] = "zstd") -> bytes:
    """An Arrow table as compressed bytes; by lz4 they are twice as many, in half the time."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


def unpacked(data: bytes) -> pa.Table:
    """The Arrow table that was ``packed``."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()


def as_text(column: pa.ChunkedArray, field: pa.Field | None = None) -> pa.ChunkedArray:
    """The cells as people are shown them; a value looks the same whatever its ``field`` holds beside it."""
    if field is not None and is_mixed(field):
        texts = [_text(value) for value in stored_values(field, column)]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_binary(column.type):
        return pa.chunked_array(
            [pa.array([None if cell is None else f"\\x{cell.hex()}" for cell in column.to_pylist()], pa.string())]
        )
    return column.cast(pa.string())


def _text(value: Any) -> str | None:
    """A value of a column that holds several kinds, as Arrow writes it in a column of its own."""
    if isinstance(value, UndecodableText):
        return value.decode(errors="replace")
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, float):
        text: str = pa.scalar(value, pa.float64()).cast(pa.string()).as_py()
        return text
    return None if value is None else str(value)
