"""Loading rows into SQLite by ``executemany``."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Float, Numeric

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.tables.databases.loading import ROW, STAGE, Destination, Written, upsert_clause

Rows = list[tuple[Any, ...]]


class SqliteLoader:
    """Rows as tuples. SQLite has one writer, so that nobody comes between two statements of a chunk."""

    def __init__(self, database: Database, destination: Destination) -> None:
        self._destination = destination
        self._sql = _Statements(database, destination)
        self.write: Callable[[Connection, Rows], Written] = getattr(self, f"_{destination.mode}")

    def encode(self, rows: pa.Table) -> Rows:
        """The rows as tuples of what SQLite stores."""
        return list(
            zip(*(_stored(rows.column(name), self._is_number(name)) for name in rows.column_names), strict=True)
        )

    def begin(self, connection: Connection, last: bool) -> None:
        """Nothing is needed."""

    def stage(self, connection: Connection, rows: pa.Table) -> None:
        """Replace the stage's rows; SQLite keeps temporary tables outside the target's file."""
        driver = _driver(connection)
        driver.execute(self._sql.drop_stage)
        driver.execute(self._sql.make_stage)
        driver.executemany(self._sql.fill_stage, ((*row, index) for index, row in enumerate(self.encode(rows))))

    def _append(self, connection: Connection, payload: Rows) -> Written:
        return Written(created=_count(connection, self._sql.insert, payload))

    def _upsert(self, connection: Connection, payload: Rows) -> Written:
        # first all that is new, then what differs: rows just inserted do not, so that each is counted exactly once
        created = _count(connection, self._sql.insert_new, payload)
        updated = _count(connection, self._sql.insert, payload) if created < len(payload) else 0
        return Written(created, updated)

    def _insert(self, connection: Connection, payload: Rows) -> Written:
        driver = _driver(connection)
        known = [index for index, row in enumerate(payload) if driver.execute(self._sql.insert_new, row).rowcount == 0]
        return Written(len(payload) - len(known), known=known)

    def _is_number(self, name: str) -> bool:
        return isinstance(self._destination.column(name).type, (Numeric, Float))


class _Statements:
    def __init__(self, database: Database, destination: Destination) -> None:
        table, columns = database.quoted_table(destination.table), database.names(destination.columns)
        marks = ", ".join("?" for _ in destination.columns)
        values = f"INSERT INTO {table} ({columns}) VALUES ({marks})"
        self.insert = f"{values} {upsert_clause(database, destination) if destination.key else ''}"
        self.insert_new = f"{values} ON CONFLICT ({database.names(destination.key)}) DO NOTHING"
        self.drop_stage = f"DROP TABLE IF EXISTS temp.{STAGE}"
        self.make_stage = f"CREATE TEMPORARY TABLE {STAGE} AS SELECT {columns}, 0 AS {ROW} FROM {table} WHERE 0"
        self.fill_stage = f"INSERT INTO temp.{STAGE} VALUES ({marks}, ?)"


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _count(connection: Connection, statement: str, payload: Rows) -> int:
    # rowcount leaves out what triggers write
    return int(_driver(connection).executemany(statement, payload).rowcount)


def _stored(column: pa.ChunkedArray, is_number: bool) -> list[Any]:
    kind = column.type
    if is_number and not pa.types.is_integer(kind):
        # through text, because Arrow's own way from decimal to float may be off by the last bit
        column = column.cast(pa.string()).cast(pa.float64()) if not pa.types.is_floating(kind) else column
    elif pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us")).cast(pa.string())
    elif pa.types.is_date(kind):
        column = column.cast(pa.string())
    elif pa.types.is_time(kind):
        column = column.cast(pa.time64("us")).cast(pa.string())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    return _as_list(column)


def _as_list(column: pa.ChunkedArray) -> list[Any]:
    # NumPy is several times faster than to_pylist, but turns integers with nulls into floats
    if column.null_count and not pa.types.is_string(column.type):
        return _with_nulls(column)
    return list(chain.from_iterable(chunk.to_numpy(zero_copy_only=False).tolist() for chunk in column.chunks))


def _with_nulls(column: pa.ChunkedArray) -> list[Any]:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return list(column.to_pylist())
    cells = pc.fill_null(column, 0).to_numpy().astype(object)
    cells[pc.is_null(column).to_numpy()] = None
    return list(cells.tolist())
