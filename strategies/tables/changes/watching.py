"""Rows of a table before and after statements of an author's own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Table

from batch_jobs.strategies.sdk.change_log import ChangeOptions, Kind, LoggedBlock
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, ChangedRows
from batch_jobs.strategies.tables.changes.recording import block_of
from batch_jobs.strategies.tables.databases.loading import ROW, Destination
from batch_jobs.strategies.tables.databases.naming import shown

Mask = npt.NDArray[np.bool_]


class WatchedRows:
    """Rows that are about to be written, as they are now.

    Args:
        connection: of the chunk; the rows that are there are locked.
        table: a table of the target.
        rows: which rows: a frame, an Arrow table, or dicts, of which only the key's columns are used.
        key: the columns that tell rows apart, by default the primary key.

    Raises:
        JobRefused: there is no key.
    """

    def __init__(self, connection: Connection, table: Table, rows: Any, key: Sequence[str] = ()) -> None:
        names = [key] if isinstance(key, str) else list(key) or [column.name for column in table.primary_key]
        self._keys = _keys(rows, names, table.fullname)
        self._connection = connection
        self._destination = Destination(table, names, names, "insert", logged_by=tuple(names))
        self._loader = database_of(connection).loader(self._destination)
        self._before = self._read(BEFORE)

    def changes(self, options: ChangeOptions) -> list[LoggedBlock]:
        """What has become of them, for the log."""
        return [block_of(rows, options) for rows in self.changed()]

    def changed(self) -> list[ChangedRows]:
        """What has become of them, in the order in which it is taken back last."""
        before, after = self._before, self._read(AFTER)
        was, is_ = (table.column(ROW).to_numpy() for table in (before, after))
        kept = np.intersect1d(was, is_)
        made: list[tuple[Kind, pa.Table]] = [
            ("removed", before.filter(pa.array(~np.isin(was, kept)))),
            ("updated", updated_rows(*(_in_order(table, kept) for table in (before, after)))),
            ("created", after.filter(pa.array(~np.isin(is_, kept)))),
        ]
        table, key = self._destination.table.fullname, list(self._destination.logged_by)
        return [ChangedRows(table, kind, key, rows.drop_columns([ROW])) for kind, rows in made if rows.num_rows]

    def _read(self, mark: str) -> pa.Table:
        self._loader.begin(self._connection, last=False)
        return self._loader.stored(self._connection, self._keys, mark)


def _keys(rows: Any, key: list[str], table: str) -> pa.Table:
    if not key:
        raise JobRefused(f"{table} has no primary key; give watch the columns that tell its rows apart")
    if isinstance(rows, pa.Table):
        keys = rows
    elif hasattr(rows, "to_dict"):
        keys = pa.Table.from_pandas(rows, preserve_index=False)
    else:
        keys = pa.Table.from_pylist([dict(row) for row in rows])
    missing = [name for name in key if name not in keys.column_names]
    if missing:
        raise JobRefused(f"the rows to watch have no column {shown(missing)}, which is in the key of {table}")
    return keys.select(key).group_by(key, use_threads=False).aggregate([])


def _in_order(rows: pa.Table, numbers: npt.NDArray[np.int64]) -> pa.Table:
    own = rows.column(ROW).cast(pa.int64()).combine_chunks()
    return rows.take(pc.index_in(pa.array(numbers, pa.int64()), value_set=own))


def updated_rows(before: pa.Table, after: pa.Table) -> pa.Table:
    """Of rows that are there before and after those that differ, with both sides of each column that does.

    Args:
        before: has ``-name`` of each column, and what else the rows of the log are to have.
        after: has ``+name`` of each of the same rows.
    """
    any_differs = np.zeros(before.num_rows, dtype=bool)
    both = before
    for name in (name for name in before.column_names if name[0] == BEFORE):
        was, field = before.column(name), after.schema.field(AFTER + name[1:])
        is_ = after.column(field.name)
        differs = _differ(was, is_)
        any_differs |= differs
        at, mask = both.schema.get_field_index(name), pa.array(differs)
        both = both.set_column(at, before.schema.field(name), pc.if_else(mask, was, pa.scalar(None, was.type)))
        both = both.append_column(field, pc.if_else(mask, is_, pa.scalar(None, is_.type)))
    return both.filter(pa.array(any_differs))


def _differ(before: pa.ChunkedArray, after: pa.ChunkedArray) -> Mask:
    if before.type == after.type:
        same = pc.or_(pc.fill_null(pc.equal(before, after), False), pc.and_(pc.is_null(before), pc.is_null(after)))
        found: Mask = ~same.to_numpy()
        return found
    pairs = zip(before.to_pylist(), after.to_pylist(), strict=True)
    return np.array([was != is_ or type(was) is not type(is_) for was, is_ in pairs], dtype=bool)
