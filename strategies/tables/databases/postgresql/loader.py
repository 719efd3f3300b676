"""Loading rows into PostgreSQL by COPY."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.database import Database, driver_of
from batch_jobs.strategies.tables.databases.loading import (
    KEYS,
    ROW,
    STAGE,
    UPDATING,
    Destination,
    Removal,
    Removed,
    RowChanges,
    Written,
    created,
)
from batch_jobs.strategies.tables.databases.postgresql import COMMIT_LAZILY, WAYS
from batch_jobs.strategies.tables.databases.postgresql.copying import (
    Encoded,
    ServerTypes,
    as_csv,
    copy,
    encode,
    server_types,
)
from batch_jobs.strategies.tables.databases.postgresql.logging import (
    LoggingStatements,
    insert_logged,
    insert_new_logged,
    remove_logged,
    returned,
    update_logged,
)
from batch_jobs.strategies.tables.databases.postgresql.sequences import Sequences
from batch_jobs.strategies.tables.databases.savepoint import savepoint
from batch_jobs.strategies.tables.databases.statements import Statements, key_cell, upsert_clause

#: What a COPY into the table itself may raise though an INSERT would do: row security, a view with rules.
DIRECT_ERRORS: tuple[type[Exception], ...] = (psycopg.NotSupportedError, psycopg.ProgrammingError)
#: The planner knows nothing of rows just staged, and would rather read the whole target for each batch.
LOOK_UP_EACH = "; ".join(f"SET LOCAL enable_{way} = off" for way in WAYS)
FETCHED = 1_000
#: What kind of relation it is, whether a trigger takes rows in its place, INSTEAD (64) and INSERT (4) of its type, and
#: whether one is called for each row (1), but for those that the server has itself for foreign keys.
RELATION = """
SELECT
  relkind::text,
  EXISTS (SELECT FROM pg_trigger WHERE tgrelid = pg_class.oid AND tgtype & 68 = 68),
  EXISTS (SELECT FROM pg_trigger WHERE tgrelid = pg_class.oid AND tgtype & 1 = 1 AND NOT tgisinternal)
FROM pg_class WHERE oid = %s::regclass
"""
#: In a connection's ``info``: the types of the target's columns, which the stage has too.
TYPES = "batch_job_types"


class PostgresqlLoader:
    """Rows by COPY, in binary where the columns' types are those that it was made for, and as CSV otherwise."""

    def __init__(self, database: Database, destination: Destination) -> None:
        self._database = database
        self._destination = destination
        self._sequences = Sequences(database, destination)
        self._by_columns: dict[tuple[str, ...], _Statements] = {}
        self._kind, self._has_triggers = "r", False
        self._stage_is_empty = False
        #: Whether encoding in binary is of use: it is not where the server has another type than was read of it.
        self._in_binary = True
        self._sql = self._statements(destination.columns)
        self._expects_new = destination.creates

    def encode(self, rows: pa.Table) -> Encoded:
        """The rows in binary, or as CSV."""
        return encode(rows, self._destination.table) if self._in_binary else as_csv(rows)

    def write(self, connection: Connection, payload: Encoded) -> Written:
        """Copy straight into the table as long as all rows are new, twice as fast; from then on by way of the stage."""
        sql = self._statements(payload.rows.column_names)
        if self._expects_new and sql.destination.creates and not sql.reads_back:
            try:
                with savepoint(connection):
                    rows = self._copy(connection, sql.into_target, payload)
                return Written(rows, changes=[created(rows)] if sql.is_logged else [])
            except psycopg.Error as error:
                may_pass = self._database.is_about_a_row(error) or isinstance(error, DIRECT_ERRORS)
                # without ``begin`` there is no stage: a row that is refused is the caller's to find
                if not may_pass or connection.info.get(STAGE) is not self:
                    raise
                self._expects_new = False
        return self._by_stage(connection, payload, sql)

    def begin(self, connection: Connection, last: bool) -> None:
        """Make the connection's stage, once; have deferred constraints checked while a row can still be refused."""
        settings = ["SET CONSTRAINTS ALL IMMEDIATE"]
        if not last:
            # rows and checkpoint are in one commit, so that losing both with the server only repeats the chunk;
            # the last chunk waits for the disk, and with it for all before it
            settings.append(COMMIT_LAZILY)
        if self._destination.mode in UPDATING:
            settings.append(LOOK_UP_EACH)
        # in one round trip; looking at the columns keeps others from giving them another type in this transaction
        types = server_types(driver_of(connection).execute("; ".join([*settings, self._sql.look])))
        self._stage_is_empty = True
        # pooled connections keep their temporary tables; one made for another job is replaced
        if connection.info.get(STAGE) is not self or connection.info.get(TYPES) != types:
            driver_of(connection).execute(self._sql.drop_stage)
            driver_of(connection).execute(self._sql.make_stage)
            found = driver_of(connection).execute(RELATION, [self._sql.table]).fetchone()
            self._kind, is_by_trigger, self._has_triggers = found
            # a COPY counts the rows too that such a trigger left out
            self._expects_new = self._expects_new and not is_by_trigger
            self._by_columns.clear()
            connection.info[STAGE], connection.info[TYPES] = self, types

    def note_numbers(self, connection: Connection, rows: pa.Table) -> None:
        """Raise the sequences of the columns that rows have values for."""
        self._sequences.raise_to(connection, rows)

    def stage(self, connection: Connection, rows: pa.Table) -> None:
        """Replace the stage's rows."""
        driver_of(connection).execute(LOOK_UP_EACH)
        self._fill(connection, self._statements(rows.column_names).into_numbered, self.encode(_numbered(rows)))

    def make_keys(self, connection: Connection) -> None:
        """A temporary table that outlives transactions."""
        names = self._database.names(self._destination.key)
        driver_of(connection).execute(f"DROP TABLE IF EXISTS pg_temp.{KEYS}")
        driver_of(connection).execute(
            f"CREATE TEMPORARY TABLE {KEYS} AS SELECT {names}, CAST(0 AS bigint) AS {ROW} FROM {self._sql.table} "
            "WITH NO DATA"
        )

    def add_keys(self, connection: Connection, rows: pa.Table) -> None:
        """By COPY."""
        copy(connection, f"pg_temp.{KEYS} ({self._database.names(rows.column_names)})", as_csv(rows))

    def settle_keys(self, connection: Connection) -> None:
        """The planner would take them for a handful."""
        driver_of(connection).execute(f"ANALYZE pg_temp.{KEYS}")

    def fetch(self, connection: Connection, query: str) -> Iterator[tuple[Any, ...]]:
        """By a cursor of the server."""
        with driver_of(connection).cursor(name="batch_job_fetch") as cursor:
            cursor.itersize = FETCHED
            yield from cursor.execute(query)

    def stored(self, connection: Connection, keys: pa.Table, mark: str) -> pa.Table:
        """Every cell is text."""
        sql = self._statements(keys.column_names)
        self._stage_is_empty = False  # in one transaction it may be asked twice
        self._fill(connection, sql.into_numbered, self.encode(_numbered(keys)))
        driver_of(connection).execute(LOOK_UP_EACH)
        found = returned(connection, sql.logging.stored(mark))
        if self._destination.mode not in UPDATING:
            self._database.plan_freely(connection)  # the statements of whoever asked
        return found

    def remove(self, connection: Connection, keys: list[tuple[Any, ...]], removal: Removal) -> Removed:
        """The keys are texts."""
        sql = self._staged_keys(connection, keys)
        if sql.is_logged:
            return remove_logged(connection, sql.logging, removal)
        return Removed(int(driver_of(connection).execute(sql.remove(removal)).rowcount))

    def differing(self, connection: Connection, columns: Sequence[str]) -> pa.Table:
        """As texts."""
        return returned(connection, self._statements(columns).logging.differing)

    def removable(self, connection: Connection, keys: list[tuple[Any, ...]], removal: Removal) -> pa.Table:
        """As texts."""
        return returned(connection, self._staged_keys(connection, keys).logging.removable(removal))

    def _staged_keys(self, connection: Connection, keys: list[tuple[Any, ...]]) -> "_Statements":
        sql = self._statements(self._destination.key)
        rows = pa.table([pa.array(cells, pa.string()) for cells in zip(*keys, strict=True)], self._destination.key)
        self._fill(connection, sql.into_stage, as_csv(rows))
        return sql

    def _by_stage(self, connection: Connection, payload: Encoded, sql: "_Statements") -> Written:
        driver, mode = driver_of(connection), self._destination.mode
        if mode == "append" and not sql.reads_back:
            self._fill(connection, sql.into_stage, payload)
            rows = driver.execute(sql.append).rowcount
            return Written(rows, changes=[created(rows)] if sql.is_logged else [])
        if sql.reads_back and mode in ("append", "insert"):
            self._fill(connection, sql.into_numbered, self.encode(_numbered(payload.rows)))
            return insert_logged(connection, sql.logging)
        if mode == "insert":
            return self._insert(connection, payload, sql)
        return self._upsert(connection, payload, sql)

    def _upsert(self, connection: Connection, payload: Encoded, sql: "_Statements") -> Written:
        driver, found = driver_of(connection), Written()
        if sql.destination.creates and not sql.is_logged:
            self._fill(connection, sql.into_stage, payload)
        else:
            self._fill(connection, sql.into_numbered, self.encode(_numbered(payload.rows)))
        if not sql.destination.creates:
            found.unknown = [row for (row,) in driver.execute(sql.unknown)]
        # an INSERT that meets a row locks it and writes that down, though it changes nothing; a join only reads
        known, changed = driver.execute(sql.counts).fetchone()
        if changed:
            found.add(update_logged(connection, sql.logging, changed) if sql.is_logged else _updated(driver, sql))
        if sql.destination.creates and known < payload.rows.num_rows:
            if sql.is_logged:
                found.add(insert_new_logged(connection, sql.logging, payload.rows.num_rows, known))
            else:
                written = _inserted(driver, sql)
                found.add(written)
                if known + written.created + written.updated < payload.rows.num_rows and not self._has_triggers:
                    found.add(_updated(driver, sql))  # somebody inserted some since they were counted
        return found

    def _insert(self, connection: Connection, payload: Encoded, sql: "_Statements") -> Written:
        staged = self._fill(connection, sql.into_numbered, self.encode(_numbered(payload.rows)))
        known = [row for (row,) in driver_of(connection).execute(sql.insert)]
        new = RowChanges("created", np.setdiff1d(np.arange(staged), known))
        return Written(staged - len(known), known=known, changes=[new] if sql.is_logged else [])

    def _fill(self, connection: Connection, into: str, payload: Encoded) -> int:
        if not self._stage_is_empty:
            driver_of(connection).execute(self._sql.clear_stage)
        self._stage_is_empty = False
        return self._copy(connection, into, payload)

    def _copy(self, connection: Connection, into: str, payload: Encoded) -> int:
        if not payload.is_read_by(self._types(connection, payload)):
            self._in_binary = False
            payload = as_csv(payload.rows)
        return copy(connection, into, payload)

    def _types(self, connection: Connection, payload: Encoded) -> ServerTypes:
        if connection.info.get(STAGE) is self:
            return {ROW: "int4", **connection.info[TYPES]}
        return server_types(driver_of(connection).execute(self._sql.look)) if payload.types is not None else {}

    def _statements(self, columns: Sequence[str]) -> "_Statements":
        found = self._by_columns.get(tuple(columns))
        if found is None:
            found = _Statements(self._database, self._destination.only(columns), self._kind, self._has_triggers)
            self._by_columns[tuple(columns)] = found
        return found


class _Statements(Statements):
    """Every statement of the loader, for rows of some columns."""

    def __init__(self, database: Database, destination: Destination, kind: str, has_triggers: bool) -> None:
        super().__init__(database, destination)
        columns, stage = database.names(destination.columns), f"pg_temp.{STAGE}"
        overriding = "OVERRIDING SYSTEM VALUE" if _has_identity(destination) else ""
        #: Rows of the stage as new ones.
        append = f"INSERT INTO {self.table} ({columns}) {overriding} SELECT {columns} FROM {stage} AS stage"
        #: Columns of the target's own types, without its constraints.
        empty = f"SELECT {columns}, 0 AS {ROW} FROM {self.table} WITH NO DATA"
        self.drop_stage = f"DROP TABLE IF EXISTS {stage}"
        self.make_stage = f"CREATE TEMPORARY TABLE {STAGE} ON COMMIT DELETE ROWS AS {empty}"
        self.clear_stage = f"DELETE FROM {stage}"
        #: No row, but the types of the target's columns.
        self.look = f"SELECT {columns} FROM {self.table} WHERE FALSE"
        #: What COPY fills.
        self.into_stage = f"{stage} ({columns})"
        self.into_numbered = f"{stage} ({columns}, {ROW})"
        self.into_target = f"{self.table} ({columns})"
        self.append = append
        self.is_logged = bool(destination.logged_by)
        #: The same, returning what was done.
        self.logging = LoggingStatements(database, destination, append, kind, has_triggers)
        self.reads_back = self.is_logged and self.logging.reads_back
        if not destination.key:
            return
        conflict = upsert_clause(database, destination)
        # a row version with xmax 0 was made by this INSERT, others were made by somebody else a moment ago and
        # updated; the parts of a partitioned table do not say
        is_created = "(xmax = 0)" if kind == "r" else "TRUE"
        #: Rows that are not there.
        self.insert_new = (
            f"WITH written AS ({append} WHERE {self.is_new} {conflict} RETURNING {is_created} AS created) "
            "SELECT count(*) FILTER (WHERE created), count(*) FROM written"
        )
        keys = ", ".join(map(database.quoted, destination.key))
        same = " AND ".join(
            f"{key_cell(database, destination, name, 'stage')} = {key_cell(database, destination, name, 'done')}"
            for name in destination.key
        )
        #: Rows that were not inserted, whoever inserted their key, and when.
        self.insert = (
            f"WITH done AS ({append} {conflict} RETURNING {keys}) SELECT {ROW} FROM {stage} AS stage "
            f"WHERE NOT EXISTS (SELECT FROM done WHERE {same}) ORDER BY {ROW}"
        )


def _updated(driver: Any, sql: _Statements) -> Written:
    return Written(updated=driver.execute(sql.update).rowcount)


def _inserted(driver: Any, sql: _Statements) -> Written:
    created, touched = driver.execute(sql.insert_new).fetchone()
    return Written(created, touched - created)


def _has_identity(destination: Destination) -> bool:
    return any(destination.column(name).identity is not None for name in destination.columns)


def _numbered(rows: pa.Table) -> pa.Table:
    return rows.append_column(ROW, pa.array(range(rows.num_rows), pa.int32()))
