"""PostgreSQL: loading and reading by COPY, which the server does faster than anyone reads it."""

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, ClassVar

import psycopg
import pyarrow as pa
import pyarrow.csv
from sqlalchemy import Connection, Engine, types

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.databases.exporting import BLOCK_BYTES, BLOCK_ROWS
from batch_jobs.strategies.tables.databases.loading import ROW, STAGE, Destination, Written, names, upsert_clause
from batch_jobs.strategies.tables.databases.naming import quoted, quoted_table
from batch_jobs.strategies.tables.selecting import SelectedColumn, Selection, nested

ROW_ERRORS: tuple[type[Exception], ...] = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.RaiseException,  # a trigger says no
    psycopg.errors.ProgramLimitExceeded,  # a value too long for an index
)
#: What a COPY into the table itself may raise beside them where an INSERT would do: row security, a view with rules.
DIRECT_ERRORS: tuple[type[Exception], ...] = (*ROW_ERRORS, psycopg.NotSupportedError, psycopg.ProgrammingError)


class PostgresqlLoader:
    """Rows as CSV bytes by COPY; types are PostgreSQL's own affair, which reads them from the text."""

    differs: ClassVar[str] = "IS DISTINCT FROM"
    max_columns: ClassVar[int] = 1600
    max_name_bytes: ClassVar[int] = 63
    row_errors: ClassVar[tuple[type[Exception], ...]] = ROW_ERRORS

    def __init__(self, destination: Destination) -> None:
        self._sql = _Statements(destination)
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
            except DIRECT_ERRORS:
                self._expects_new = False
        return self._write(connection, payload)

    def begin(self, connection: Connection, last: bool) -> None:
        """Make the connection's stage, once; have deferred constraints checked while a row can still be refused."""
        driver(connection).execute("SET CONSTRAINTS ALL IMMEDIATE")
        if not last:
            # rows and checkpoint are in one commit, so that losing both with the server only repeats the chunk;
            # the last chunk waits for the disk, and with it for all before it
            driver(connection).execute("SET LOCAL synchronous_commit = off")
        # pooled connections keep their temporary tables; one made for another job is replaced
        if connection.info.get(STAGE) is not self:
            driver(connection).execute(self._sql.drop_stage)
            driver(connection).execute(self._sql.make_stage)
            connection.info[STAGE] = self

    def stage(self, connection: Connection, rows: pa.Table) -> None:
        """Replace the stage's rows."""
        # the planner knows nothing of rows just staged, and would rather read the whole target for each batch
        for way in ("hashjoin", "mergejoin"):
            driver(connection).execute(f"SET LOCAL enable_{way} = off")
        driver(connection).execute(self._sql.clear_stage)
        _copy(connection, self._sql.copy_numbered, _csv(_numbered(rows)))

    def message(self, error: Exception) -> str:
        """The server's message with its detail."""
        told = error.diag if isinstance(error, psycopg.Error) else None
        parts = [told.message_primary, told.message_detail] if told else [str(error)]
        return ": ".join(" ".join(part.split()) for part in parts if part)

    def _append(self, connection: Connection, payload: "Encoded") -> Written:
        return Written(created=_copy(connection, self._sql.copy_target, payload.csv))

    def _upsert(self, connection: Connection, payload: "Encoded") -> Written:
        driver(connection).execute(self._sql.clear_stage)
        _copy(connection, self._sql.copy_stage, payload.csv)
        created, touched = driver(connection).execute(self._sql.upsert).fetchone()
        return Written(created, touched - created)

    def _insert(self, connection: Connection, payload: "Encoded") -> Written:
        driver(connection).execute(self._sql.clear_stage)
        staged = _copy(connection, self._sql.copy_numbered, _csv(_numbered(payload.rows)))
        known = [row for (row,) in driver(connection).execute(self._sql.insert)]
        return Written(staged - len(known), known=known)


@dataclass(frozen=True)
class Encoded:
    """Rows and their CSV."""

    rows: pa.Table
    csv: bytes


class _Statements:
    """Every statement of the loader, each told what it is for."""

    def __init__(self, destination: Destination) -> None:
        table, columns, stage = quoted_table(destination.table), names(destination.columns), f"pg_temp.{STAGE}"
        overriding = "OVERRIDING SYSTEM VALUE" if _has_identity(destination) else ""
        insert = f"INSERT INTO {table} ({columns}) {overriding} SELECT {columns} FROM {stage}"
        conflict = upsert_clause(destination, PostgresqlLoader.differs) if destination.key else ""
        same = (
            " AND ".join(f"stage.{name} = done.{name}" for name in names(destination.key).split(", "))
            if destination.key
            else ""
        )
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
            f"WITH done AS ({insert} {conflict} RETURNING {names(destination.key)}) SELECT {ROW} FROM {stage} AS stage "
            f"WHERE NOT EXISTS (SELECT FROM done WHERE {same}) ORDER BY {ROW}"
        )


def driver(connection: Connection) -> Any:
    """psycopg's own connection, in the same transaction."""
    return connection.connection.driver_connection


@contextmanager
def _savepoint(connection: Connection) -> Iterator[None]:
    driver(connection).execute("SAVEPOINT direct")
    try:
        yield
    except psycopg.Error:
        driver(connection).execute("ROLLBACK TO SAVEPOINT direct")
        raise
    driver(connection).execute("RELEASE SAVEPOINT direct")


def _has_identity(destination: Destination) -> bool:
    return any(destination.column(name).identity is not None for name in destination.columns)


def _copy(connection: Connection, statement: str, payload: bytes) -> int:
    with driver(connection).cursor() as cursor:
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


#: Rows taken between two looks at how much there is; each may be large.
ROWS_AT_ONCE = 64

#: Text that reads the same wherever the server stands.
SETTINGS = (
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO'",
    "SET LOCAL IntervalStyle = 'postgres'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL extra_float_digits = 1",
)

#: A cell that a spreadsheet takes for a formula gets one more apostrophe, which an import takes away again.
#: All such marks come before A in ASCII; asking for that first, by bytes, makes the whole export twice as fast.
NEUTRALISED = (
    """CASE WHEN {0} COLLATE "C" < 'A' AND left(ltrim({0}, ''''), 1) IN ('=', '+', '-', '@', E'\\t', E'\\r') """
    "THEN '''' || {0} ELSE {0} END"
)

_INTEGER = types.BigInteger()
_FLOAT: types.TypeEngine[Any] = types.Double()
#: PostgreSQL's numbers of its types; all others are text.
_TYPES: dict[int, types.TypeEngine[Any]] = {
    16: types.Boolean(),
    17: types.LargeBinary(),
    20: _INTEGER,
    21: _INTEGER,
    23: _INTEGER,
    700: _FLOAT,
    701: _FLOAT,
    1082: types.Date(),
    1083: types.Time(),
    1114: types.DateTime(),
    1184: types.DateTime(timezone=True),
    1700: types.Numeric(),
}


class PostgresqlSource:
    """Rows by COPY in one REPEATABLE READ READ ONLY transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction on one snapshot."""
        with self._transaction(*SETTINGS) as connection:
            yield connection

    @contextmanager
    def beside(self, connection: Connection) -> Iterator[list[Connection]]:
        """One more on the same snapshot, so that two processes of the server read."""
        (snapshot,) = _driver(connection).execute("SELECT pg_export_snapshot()").fetchone()
        with self._transaction(f"SET TRANSACTION SNAPSHOT '{snapshot}'", *SETTINGS) as other:
            yield [other]

    def query_columns(self, connection: Connection, query: str) -> list[SelectedColumn]:
        """The query's columns; preparing it makes the server refuse more than one statement."""
        try:
            found = _driver(connection).execute(f"SELECT * FROM {nested(query)} AS source LIMIT 0", prepare=True)
        except psycopg.Error as error:
            raise JobRefused(
                f"the query is refused: {' '.join((error.diag.message_primary or str(error)).split())}"
            ) from error
        return [SelectedColumn(column.name, _TYPES.get(column.type_code, types.Text())) for column in found.description]

    def batches(self, connection: Connection, selection: Selection) -> Iterator[pa.Table]:
        """The rows as text."""
        names = [column.name for column in selection.columns]
        for block, _rows in _blocks(connection, selection.select([_cell(column) for column in selection.columns]), ","):
            yield _parsed(block, names)

    def copy_csv(
        self, connection: Connection, selection: Selection, delimiter: str, neutralise: bool, stream: BinaryIO
    ) -> Iterator[int]:
        """Write what the server sends as it is."""
        cells = [_neutral(column) if neutralise and column.is_text else _cell(column) for column in selection.columns]
        for block, rows in _blocks(connection, selection.select(cells), delimiter):
            stream.write(block)
            yield rows

    @contextmanager
    def _transaction(self, *settings: str) -> Iterator[Connection]:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            for setting in settings:
                _driver(connection).execute(setting)
            yield connection


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _cell(column: SelectedColumn) -> str:
    return f"source.{quoted(column.name)}" + ("::text" if column.is_boolean else "")


def _neutral(column: SelectedColumn) -> str:
    return NEUTRALISED.format(
        f"source.{quoted(column.name)}" if _is_plain(column) else f"source.{quoted(column.name)}::text"
    )


def _is_plain(column: SelectedColumn) -> bool:
    return isinstance(column.type, types.Text)


def _blocks(connection: Connection, select: str, delimiter: str) -> Iterator[tuple[bytes, int]]:
    mark = delimiter.replace("'", "''")
    with (
        _driver(connection).cursor() as cursor,
        cursor.copy(f"COPY ({select}) TO STDOUT (FORMAT csv, DELIMITER '{mark}')") as copy,
    ):
        yield from _gathered(copy)


def _gathered(messages: Iterable[memoryview]) -> Iterator[tuple[bytes, int]]:
    rows = iter(messages)  # the server sends each row in a message of its own
    held, count = io.BytesIO(), 0
    write = held.write  # copied at once: messages kept alive would make libpq's memory cold
    while taken := sum(1 for row in islice(rows, ROWS_AT_ONCE) if write(row)):
        count += taken
        if held.tell() >= BLOCK_BYTES or count >= BLOCK_ROWS:
            yield held.getvalue(), count
            held.seek(0)
            held.truncate()
            count = 0
    if count:
        yield held.getvalue(), count


def _parsed(block: bytes, names: list[str]) -> pa.Table:
    indices = [str(number) for number in range(len(names))]
    return pyarrow.csv.read_csv(
        io.BytesIO(block),
        pyarrow.csv.ReadOptions(column_names=indices, block_size=len(block) + 1),
        pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(indices, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    ).rename_columns(names)
