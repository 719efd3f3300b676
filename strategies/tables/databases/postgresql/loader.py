"""Loading rows into PostgreSQL by COPY."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.tables.databases.loading import ROW, STAGE, Destination, Written, upsert_clause

#: What a COPY into the table itself may raise though an INSERT would do: row security, a view with rules.
DIRECT_ERRORS: tuple[type[Exception], ...] = (psycopg.NotSupportedError, psycopg.ProgrammingError)


class PostgresqlLoader:
    """Rows as CSV bytes by COPY; types are PostgreSQL's own affair, which reads them from the text."""

    def __init__(self, database: Database, destination: Destination) -> None:
        self._database = database
        self._sql = _Statements(database, destination)
        self._write: Callable[[Connection, Encoded], Written] = getattr(self, f"_{destination.mode}")
        self._expects_new = True

    def encode(self, rows: pa.Table) -> "Encoded":
        """The rows as CSV, in which an unquoted empty cell is NULL."""
        return Encoded(rows, _csv(rows))

    def write(self, connection: Connection, payload: "Encoded") -> Written:
        """Copy straight into the table as long as all rows are new, twice as fast; from then on by way of the stage."""
        if self._expects_new:
            try:
                with _savepoint(connection):
                    return Written(created=_copy(connection, self._sql.copy_target, payload.csv))
            except (*self._database.row_errors, *DIRECT_ERRORS):
                self._expects_new = False
        return self._write(connection, payload)

    def begin(self, connection: Connection, last: bool) -> None:
        """Make the connection's stage, once; have deferred constraints checked while a row can still be refused."""
        _driver(connection).execute("SET CONSTRAINTS ALL IMMEDIATE")
        if not last:
            # rows and checkpoint are in one commit, so that losing both with the server only repeats the chunk;
            # the last chunk waits for the disk, and with it for all before it
            self._database.commit_lazily(connection)
        # pooled connections keep their temporary tables; one made for another job is replaced
        if connection.info.get(STAGE) is not self:
            _driver(connection).execute(self._sql.drop_stage)
            _driver(connection).execute(self._sql.make_stage)
            connection.info[STAGE] = self

    def stage(self, connection: Connection, rows: pa.Table) -> None:
        """Replace the stage's rows."""
        # the planner knows nothing of rows just staged, and would rather read the whole target for each batch
        for way in ("hashjoin", "mergejoin"):
            _driver(connection).execute(f"SET LOCAL enable_{way} = off")
        _driver(connection).execute(self._sql.clear_stage)
        _copy(connection, self._sql.copy_numbered, _csv(_numbered(rows)))

    def _append(self, connection: Connection, payload: "Encoded") -> Written:
        return Written(created=_copy(connection, self._sql.copy_target, payload.csv))

    def _upsert(self, connection: Connection, payload: "Encoded") -> Written:
        _driver(connection).execute(self._sql.clear_stage)
        _copy(connection, self._sql.copy_stage, payload.csv)
        created, touched = _driver(connection).execute(self._sql.upsert).fetchone()
        return Written(created, touched - created)

    def _insert(self, connection: Connection, payload: "Encoded") -> Written:
        _driver(connection).execute(self._sql.clear_stage)
        staged = _copy(connection, self._sql.copy_numbered, _csv(_numbered(payload.rows)))
        known = [row for (row,) in _driver(connection).execute(self._sql.insert)]
        return Written(staged - len(known), known=known)


@dataclass(frozen=True)
class Encoded:
    """Rows and their CSV."""

    rows: pa.Table
    csv: bytes


class _Statements:
    """Every statement of the loader."""

    def __init__(self, database: Database, destination: Destination) -> None:
        table, columns = database.quoted_table(destination.table), database.names(destination.columns)
        stage, key = f"pg_temp.{STAGE}", database.names(destination.key)
        overriding = "OVERRIDING SYSTEM VALUE" if _has_identity(destination) else ""
        insert = f"INSERT INTO {table} ({columns}) {overriding} SELECT {columns} FROM {stage}"
        conflict = upsert_clause(database, destination) if destination.key else ""
        same = " AND ".join(f"stage.{name} = done.{name}" for name in map(database.quoted, destination.key))
        self.drop_stage = f"DROP TABLE IF EXISTS {stage}"
        #: Columns of the target's own types, without its constraints.
        empty = f"SELECT {columns}, 0 AS {ROW} FROM {table} WITH NO DATA"
        self.make_stage = f"CREATE TEMPORARY TABLE {STAGE} ON COMMIT DELETE ROWS AS {empty}"
        self.clear_stage = f"DELETE FROM {stage}"
        self.copy_stage = f"COPY {stage} ({columns}) FROM STDIN (FORMAT csv)"
        self.copy_numbered = f"COPY {stage} ({columns}, {ROW}) FROM STDIN (FORMAT csv)"
        self.copy_target = f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)"
        #: All rows, where they differ. A row version with xmax 0 was made by this INSERT; others were updated.
        self.upsert = (
            f"WITH written AS ({insert} {conflict} RETURNING (xmax = 0) AS created) "
            "SELECT count(*) FILTER (WHERE created), count(*) FROM written"
        )
        #: Rows that were not inserted, whoever inserted their key, and when.
        self.insert = (
            f"WITH done AS ({insert} {conflict} RETURNING {key}) SELECT {ROW} FROM {stage} AS stage "
            f"WHERE NOT EXISTS (SELECT FROM done WHERE {same}) ORDER BY {ROW}"
        )


def _driver(connection: Connection) -> Any:
    """psycopg's own connection, in the same transaction."""
    return connection.connection.driver_connection


@contextmanager
def _savepoint(connection: Connection) -> Iterator[None]:
    _driver(connection).execute("SAVEPOINT direct")
    try:
        yield
    except psycopg.Error:
        _driver(connection).execute("ROLLBACK TO SAVEPOINT direct")
        raise
    _driver(connection).execute("RELEASE SAVEPOINT direct")


def _has_identity(destination: Destination) -> bool:
    return any(destination.column(name).identity is not None for name in destination.columns)


def _copy(connection: Connection, statement: str, payload: bytes) -> int:
    with _driver(connection).cursor() as cursor:
        with cursor.copy(statement) as copy:
            copy.write(payload)
        return int(cursor.rowcount)


def _numbered(rows: pa.Table) -> pa.Table:
    return rows.append_column(ROW, pa.array(range(rows.num_rows), pa.int32()))


def _csv(rows: pa.Table) -> bytes:
    written = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False)
    pyarrow.csv.write_csv(
        pa.table([_as_text(column) for column in rows.columns], names=rows.column_names), written, options
    )
    return written.getvalue()


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_binary(column.type):
        cells = [None if cell is None else f"\\x{cell.hex()}" for cell in column.to_pylist()]
        return pa.chunked_array([pa.array(cells, pa.string())])
    return column
