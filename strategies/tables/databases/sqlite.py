"""SQLite: loading by executemany, reading by one cursor in one read transaction."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, BinaryIO, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Engine, Float, Numeric, inspect, types

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.databases.loading import ROW, STAGE, Destination, Written, names, upsert_clause
from batch_jobs.strategies.tables.databases.naming import quoted, quoted_table
from batch_jobs.strategies.tables.formats.csv import csv_lines
from batch_jobs.strategies.tables.selecting import SelectedColumn, Selection, nested
from batch_jobs.strategies.tables.values.formulas import neutralise as neutralised

Rows = list[tuple[Any, ...]]


class SqliteLoader:
    """Rows as tuples. SQLite has one writer, so that nobody comes between two statements of a chunk."""

    differs: ClassVar[str] = "IS NOT"
    max_columns: ClassVar[int] = 2000
    max_name_bytes: ClassVar[int] = 1 << 20
    row_errors: ClassVar[tuple[type[Exception], ...]] = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError)

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._sql = _Statements(destination)
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

    def message(self, error: Exception) -> str:
        """SQLite's message."""
        return " ".join(str(error).split())

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
    def __init__(self, destination: Destination) -> None:
        table, columns = quoted_table(destination.table), names(destination.columns)
        marks = ", ".join("?" for _ in destination.columns)
        values = f"INSERT INTO {table} ({columns}) VALUES ({marks})"
        self.insert = f"{values} {upsert_clause(destination, SqliteLoader.differs) if destination.key else ''}"
        self.insert_new = f"{values} ON CONFLICT ({names(destination.key)}) DO NOTHING"
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


VIEW = "batch_job_query"
FETCHED = 1_000  # rows at a time; they may be wide


class SqliteSource:
    """Rows in one read transaction; the connection refuses to write meanwhile."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees the database as it is at its first read."""
        with self._engine.connect() as connection, connection.begin():
            driver = _driver(connection)
            driver.execute("PRAGMA query_only = ON")
            try:
                yield connection
            finally:
                driver.execute("PRAGMA query_only = OFF")

    @contextmanager
    def beside(self, connection: Connection) -> Iterator[list[Connection]]:
        """None: a snapshot cannot be shared."""
        yield []

    def query_columns(self, connection: Connection, query: str) -> list[SelectedColumn]:
        """The query's columns: declared types where it passes columns through, else those of the values."""
        try:
            found = _driver(connection).execute(query).description  # bare, since a subquery hides doubled names
            declared = self._declared(query)
            names = [name for name, *_ in found]
            values = self._types_of_values(connection, query, names)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise JobRefused(f"the query is refused: {' '.join(str(error).split())}") from error
        return [
            SelectedColumn(name, _chosen(declared.get(name), of_values))
            for name, of_values in zip(names, values, strict=True)
        ]

    def batches(self, connection: Connection, selection: Selection) -> Iterator[pa.Table]:
        """The rows as text."""
        cursor = _driver(connection).execute(selection.select())
        names = [column.name for column in selection.columns]
        while rows := cursor.fetchmany(FETCHED):
            cells = zip(selection.columns, zip(*rows, strict=True), strict=True)
            yield pa.table([_as_text(column, values) for column, values in cells], names=names)

    def copy_csv(
        self, connection: Connection, selection: Selection, delimiter: str, neutralise: bool, stream: BinaryIO
    ) -> Iterator[int]:
        """Write the rows as CSV made by Arrow."""
        for batch in self.batches(connection, selection):
            columns = [
                neutralised(cells.combine_chunks()) if neutralise and column.is_text else cells.combine_chunks()
                for column, cells in zip(selection.columns, batch.columns, strict=True)
            ]
            stream.write(csv_lines(columns, delimiter))
            yield batch.num_rows

    def _declared(self, query: str) -> dict[str, types.TypeEngine[Any]]:
        # a view knows the declared types of what it passes through; another connection makes it, this one may not write
        with self._engine.connect() as scratch, scratch.begin() as transaction:
            _driver(scratch).execute(f"CREATE TEMPORARY VIEW {VIEW} AS SELECT * FROM {nested(query)}")
            columns = inspect(scratch).get_columns(VIEW, schema="temp")
            transaction.rollback()
        return {column["name"]: column["type"] for column in columns}

    def _types_of_values(
        self, connection: Connection, query: str, names: list[str]
    ) -> list[tuple[str | None, str | None]]:
        cells = ", ".join(f"{way}(nullif(typeof({quoted(name)}), 'null'))" for name in names for way in ("min", "max"))
        found = _driver(connection).execute(f"SELECT {cells} FROM {nested(query)}").fetchone()
        return list(zip(found[0::2], found[1::2], strict=True))


def _chosen(declared: types.TypeEngine[Any] | None, of_values: tuple[str | None, str | None]) -> types.TypeEngine[Any]:
    if declared is not None and not isinstance(declared, types.NullType) and str(declared) != "NUMERIC":
        return declared
    if of_values == ("integer", "integer"):
        return types.BigInteger()
    if set(of_values) <= {"integer", "real"}:
        return types.Double()
    return types.LargeBinary() if of_values == ("blob", "blob") else types.Text()


def _as_text(column: SelectedColumn, values: Sequence[Any]) -> pa.Array:
    if column.is_boolean or column.is_binary:
        return pa.array([_cell(column, value) for value in values], pa.string())
    try:
        return pa.array(values).cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return pa.array(
            [_cell(column, value) for value in values], pa.string()
        )  # SQLite's columns may hold values of any type


def _cell(column: SelectedColumn, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if column.is_boolean and value in (0, 1):
        return "true" if value else "false"
    return repr(value)
