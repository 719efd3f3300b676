"""Loading rows into SQLite by ``executemany``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Float, Numeric

from batch_jobs.strategies.sdk.database import Database, driver_of
from batch_jobs.strategies.tables.changes.stored import is_mixed, stored_values
from batch_jobs.strategies.tables.databases.loading import (
    KEYS,
    ROW,
    STAGE,
    Destination,
    Removal,
    Removed,
    Written,
    created,
)
from batch_jobs.strategies.tables.databases.savepoint import savepoint
from batch_jobs.strategies.tables.databases.sqlite.logging import Logging, has_triggers
from batch_jobs.strategies.tables.databases.statements import Statements, upsert_clause

#: The view of a name, in the main database or a temporary one.
IS_VIEW = (
    "SELECT 1 FROM (SELECT name, type FROM sqlite_master UNION ALL SELECT name, type FROM sqlite_temp_master) "
    "WHERE type = 'view' AND name = ? COLLATE NOCASE"
)

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Encoded:
    """Rows of these columns as tuples."""

    columns: tuple[str, ...]
    rows: Rows


class _SomeAreThere(Exception):
    """Not all rows of a chunk are new."""


class SqliteLoader:
    """Rows as tuples. SQLite has one writer, so that nobody comes between two statements of a chunk."""

    def __init__(self, database: Database, destination: Destination) -> None:
        self._database = database
        self._destination = destination
        self._by_columns: dict[tuple[str, ...], _Statements] = {}
        self._view: bool | None = None
        self._triggers: bool | None = None
        self._expects_new = True

    def encode(self, rows: pa.Table) -> Encoded:
        """The rows as tuples of what SQLite stores."""
        cells = (
            stored_values(field, rows.column(field.name))
            if is_mixed(field)
            else _stored(rows.column(field.name), self._is_number(field.name))
            for field in rows.schema
        )
        return Encoded(tuple(rows.column_names), list(zip(*cells, strict=True)))

    def begin(self, connection: Connection, last: bool) -> None:
        """Nothing is needed."""

    def write(self, connection: Connection, payload: Encoded) -> Written:
        """Write rows in the way of the destination's mode."""
        sql, rows, mode = self._statements(payload.columns), payload.rows, self._destination.mode
        if self._destination.logged_by:
            return self._write_logged(connection, payload, sql)
        if mode == "append":
            by_trigger = self._is_view(connection)
            return Written(created=(_count_by_trigger if by_trigger else _count)(connection, sql.insert, rows))
        if mode == "insert":
            driver = driver_of(connection)
            known = [index for index, row in enumerate(rows) if driver.execute(sql.insert_new, row).rowcount == 0]
            return Written(len(rows) - len(known), known=known)
        if not sql.destination.creates:
            return self._update(connection, payload, sql)
        # first all that is new, then what differs: rows just inserted do not, so that each is counted exactly once
        created = _count(connection, sql.insert_new, rows)
        updated = _count(connection, sql.insert, rows) if created < len(rows) else 0
        return Written(created, updated)

    def note_numbers(self, connection: Connection, rows: pa.Table) -> None:
        """Nothing is needed: a number that a row brings along counts by itself."""

    def stage(self, connection: Connection, rows: pa.Table) -> None:
        """Replace the stage's rows; SQLite keeps temporary tables outside the target's file."""
        encoded = self.encode(rows)
        self._fill(connection, self._statements(encoded.columns), encoded.rows)

    def make_keys(self, connection: Connection) -> None:
        """A temporary table, which is outside the target's file."""
        sql = self._statements(self._destination.key)
        driver_of(connection).execute(f"DROP TABLE IF EXISTS temp.{KEYS}")
        driver_of(connection).execute(f"CREATE TEMPORARY TABLE {KEYS} AS {sql.empty}")

    def add_keys(self, connection: Connection, rows: pa.Table) -> None:
        """By ``executemany``."""
        cells = [_stored(rows.column(name), self._is_number(name)) for name in self._destination.key]
        marks = ", ".join("?" for _ in rows.column_names)
        numbered = zip(*cells, rows.column(ROW).to_pylist(), strict=True)
        driver_of(connection).executemany(f"INSERT INTO temp.{KEYS} VALUES ({marks})", numbered)

    def settle_keys(self, connection: Connection) -> None:
        """By an index, in the collations of the key."""
        collations = self._destination.collations
        names = ", ".join(
            self._database.quoted(name) + (f" COLLATE {collations[name]}" if name in collations else "")
            for name in self._destination.key
        )
        driver_of(connection).execute(f"CREATE INDEX temp.{KEYS}_by_key ON {KEYS} ({names})")

    def fetch(self, connection: Connection, query: str) -> Iterator[tuple[Any, ...]]:
        """By a cursor; a text that is not UTF-8 is shown as well as can be."""
        driver = driver_of(connection)
        before, driver.text_factory = driver.text_factory, lambda text: text.decode(errors="replace")
        try:
            yield from driver.execute(query)
        finally:
            driver.text_factory = before

    def stored(self, connection: Connection, keys: pa.Table, mark: str) -> pa.Table:
        """As SQLite has them."""
        self.stage(connection, keys)
        return self._statements(keys.column_names).logging.stored(connection, mark)

    def remove(self, connection: Connection, keys: list[tuple[Any, ...]], removal: Removal) -> Removed:
        """The keys are as SQLite has them."""
        sql = self._statements(self._destination.key)
        self._fill(connection, sql, keys)
        values = sql.logging.removed(connection, removal) if self._destination.logged_by else None
        return Removed(int(driver_of(connection).execute(sql.remove(removal)).rowcount), values)

    def differing(self, connection: Connection, columns: Sequence[str]) -> pa.Table:
        """As they are stored."""
        return self._statements(columns).logging.differing(connection)

    def removable(self, connection: Connection, keys: list[tuple[Any, ...]], removal: Removal) -> pa.Table:
        """As they are stored."""
        sql = self._statements(self._destination.key)
        self._fill(connection, sql, keys)
        return sql.logging.removed(connection, removal)

    def _write_logged(self, connection: Connection, payload: Encoded, sql: "_Statements") -> Written:
        """What is new and what differs is found beforehand, in the stage, and only that is written."""
        rows, reads_back = payload.rows, self._reads_back(connection, sql)
        if self._expects_new and sql.destination.creates and not reads_back:
            try:
                with savepoint(connection):
                    if _count(connection, sql.insert_if_new, rows) < len(rows):
                        raise _SomeAreThere
                return Written(len(rows), changes=[created(len(rows))])
            except _SomeAreThere:
                self._expects_new = False
        self._fill(connection, sql, rows)
        new, known = sql.logging.new_and_known(connection, len(rows))
        found = Written()
        if not sql.destination.creates:
            found.unknown = new
        elif new:
            _count(connection, sql.insert_if_new, [rows[row] for row in new])
            found.add(sql.logging.created(connection, new, reads_back))
        if self._destination.mode == "insert":
            found.known = known
        elif known and sql.update and self._destination.mode != "append":
            found.add(sql.logging.updated(connection))
        return found

    def _reads_back(self, connection: Connection, sql: "_Statements") -> bool:
        if self._triggers is None:
            self._triggers = has_triggers(connection, self._destination.table)
        return self._triggers or bool(sql.destination.unsaid)

    def _update(self, connection: Connection, payload: Encoded, sql: "_Statements") -> Written:
        self._fill(connection, sql, payload.rows)
        driver = driver_of(connection)
        unknown = [row for (row,) in driver.execute(sql.unknown)]
        return Written(updated=driver.execute(sql.update).rowcount if sql.update else 0, unknown=unknown)

    def _fill(self, connection: Connection, sql: "_Statements", rows: Rows) -> None:
        driver = driver_of(connection)
        driver.execute(sql.drop_stage)
        driver.execute(sql.make_stage)
        driver.executemany(sql.fill_stage, ((*row, index) for index, row in enumerate(rows)))

    def _statements(self, columns: Sequence[str]) -> "_Statements":
        found = self._by_columns.get(tuple(columns))
        if found is None:
            found = self._by_columns[tuple(columns)] = _Statements(self._database, self._destination.only(columns))
        return found

    def _is_view(self, connection: Connection) -> bool:
        """Whether it is a view, whose trigger takes the rows."""
        if self._view is None:
            found = driver_of(connection).execute(IS_VIEW, [self._destination.table.name]).fetchone()
            self._view = found is not None
        return self._view

    def _is_number(self, name: str) -> bool:
        return isinstance(self._destination.column(name).type, (Numeric, Float))


class _Statements(Statements):
    def __init__(self, database: Database, destination: Destination) -> None:
        super().__init__(database, destination)
        columns = database.names(destination.columns)
        marks = ", ".join("?" for _ in destination.columns)
        values = f"INSERT INTO {self.table} ({columns}) VALUES ({marks})"
        self.insert = f"{values} {upsert_clause(database, destination) if destination.key else ''}"
        self.insert_new = f"{values} ON CONFLICT ({database.names(destination.key)}) DO NOTHING"
        self.insert_if_new = self.insert_new if destination.key else values
        #: Columns of the target's own types, without its constraints.
        self.empty = f"SELECT {columns}, 0 AS {ROW} FROM {self.table} WHERE 0"
        self.drop_stage = f"DROP TABLE IF EXISTS temp.{STAGE}"
        self.make_stage = f"CREATE TEMPORARY TABLE {STAGE} AS {self.empty}"
        self.fill_stage = f"INSERT INTO temp.{STAGE} VALUES ({marks}, ?)"
        #: What is to be known of changes for the log.
        self.logging = Logging(database, destination)

    def remove(self, removal: Removal) -> str:
        """A DELETE by the keys, as there is none with USING."""
        if removal.marks:
            return super().remove(removal)
        keys = ", ".join(f"target.{name}" for name in map(self.database.quoted, self.destination.key))
        found = f"SELECT {keys} {self.join} WHERE {removal.condition}"
        return f"DELETE FROM {self.table} WHERE ({self.database.names(self.destination.key)}) IN ({found})"


def _count(connection: Connection, statement: str, payload: Rows) -> int:
    # rowcount leaves out what triggers write
    return int(driver_of(connection).executemany(statement, payload).rowcount)


def _count_by_trigger(connection: Connection, statement: str, payload: Rows) -> int:
    """How many rows had a trigger write something; rowcount knows nothing of that."""
    driver, count = driver_of(connection), 0
    for row in payload:
        before = driver.total_changes
        driver.execute(statement, row)
        count += driver.total_changes > before
    return count


def _stored(column: pa.ChunkedArray, is_number: bool) -> list[Any]:
    kind = column.type
    if is_number and not pa.types.is_integer(kind):
        # through text, because Arrow's own way from decimal to float may be off by the last bit
        column = column if pa.types.is_floating(kind) else _as_numbers(column.cast(pa.string()))
    elif pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us")).cast(pa.string())
    elif pa.types.is_date(kind):
        column = column.cast(pa.string())
    elif pa.types.is_time(kind):
        column = column.cast(pa.time64("us")).cast(pa.string())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    return _as_list(column)


def _as_numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts of numbers as these; a column of the log may have others, as the column of a table may."""
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return texts


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
