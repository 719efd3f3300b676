"""Putting what was done to rows into the log of the chunk that is open."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, Table

from batch_jobs.strategies.sdk.change_log import ChangeOptions, Changes, Kind, LoggedBlock, changes_of
from batch_jobs.strategies.tables.changes.blocks import AFTER, KEY, LINE, ChangedRows
from batch_jobs.strategies.tables.changes.hiding import hidden
from batch_jobs.strategies.tables.databases.loading import Destination, Removal, Removed, RowChanges

Lines = npt.NDArray[np.int64]


def changed_rows(destination: Destination, rows: pa.Table, lines: Lines | None, change: RowChanges) -> ChangedRows:
    """What was done to some of the rows that were written.

    Args:
        destination: where they went.
        rows: as they were written.
        lines: of the input, one for each row; ``None`` where there is no input with lines.
        change: of which rows, and what was done.
    """
    key = list(destination.logged_by)
    is_all = np.array_equal(change.rows, np.arange(rows.num_rows))  # a database returns them in any order
    taken = rows if is_all else rows.take(pa.array(change.rows))
    named = {KEY + name: taken.column(name) for name in key}
    if change.values is None:
        named |= {AFTER + name: taken.column(name) for name in taken.column_names if name not in key}
    else:
        named |= dict(zip(change.values.column_names, change.values.columns, strict=True))
    if lines is not None:
        named[LINE] = pa.chunked_array([pa.array(lines[change.rows], pa.int64())])
    return ChangedRows(
        destination.table.fullname, change.kind, key, pa.table(named, schema=_schema(named, change.values))
    )


def key_of_log(changes: Changes | None, table: Table, columns: Sequence[str], key: Sequence[str]) -> tuple[str, ...]:
    """The columns by which the log names rows: the key, or the primary key of rows that are added; none without a log.

    Args:
        changes: of the job.
        table: that is written.
        columns: those that the rows have.
        key: by which rows are matched, empty where all are added.
    """
    if changes is None or not changes.are_kept:
        return ()
    return _naming(table, columns, key)


def named_by_key(destination: Destination) -> Destination:
    """The destination with the columns by which changes name rows, whether or not there is a log."""
    return replace(destination, logged_by=_naming(destination.table, destination.columns, destination.key))


def removed_rows(destination: Destination, removal: Removal, removed: Removed) -> list[ChangedRows]:
    """What was done to rows that are not in the input."""
    if removed.values is None or not removed.values.num_rows:
        return []
    kind: Kind = "updated" if removal.marks else "removed"
    return [ChangedRows(destination.table.fullname, kind, list(destination.logged_by), removed.values)]


def _naming(table: Table, columns: Sequence[str], key: Sequence[str]) -> tuple[str, ...]:
    primary = [column.name for column in table.primary_key]
    return tuple(key or (primary if set(primary) <= set(columns) else ()))


def record(connection: Connection, made: Iterable[ChangedRows]) -> None:
    """Have changes be written with the chunk that is open on this connection, if it keeps any."""
    changes = changes_of(connection)
    if changes is None:
        return
    for rows in made:
        if len(rows):
            changes.add(block_of(rows, changes.options))


def block_of(rows: ChangedRows, options: ChangeOptions) -> LoggedBlock:
    """Rows as the log keeps them."""
    return hidden(rows, options).encoded()


def _schema(columns: dict[str, pa.ChunkedArray], values: pa.Table | None) -> pa.Schema:
    """The fields of the columns; those that were read back say themselves what they hold."""
    fields = {field.name: field for field in values.schema} if values is not None else {}
    return pa.schema([fields.get(name, pa.field(name, column.type)) for name, column in columns.items()])
