"""Reading rows from SQLite by one cursor in one read transaction."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Engine, inspect, types

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.formats.csv_writing import csv_lines
from batch_jobs.strategies.tables.selecting import SelectedColumn, Selection, nested
from batch_jobs.strategies.tables.values.formulas import neutralise as neutralised

VIEW = "batch_job_query"
FETCHED = 1_000  # rows at a time; they may be wide


class SqliteSource:
    """Rows in one read transaction; the connection refuses to write meanwhile."""

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
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
        cursor = _driver(connection).execute(selection.select(self._database))
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
        kinds = [f"nullif(typeof({self._database.quoted(name)}), 'null')" for name in names]
        cells = ", ".join(f"{way}({kind})" for kind in kinds for way in ("min", "max"))
        found = _driver(connection).execute(f"SELECT {cells} FROM {nested(query)}").fetchone()
        return list(zip(found[0::2], found[1::2], strict=True))


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


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


class SqliteLookup:
    """Finds rows by lists of texts."""

    def __init__(self, connection: Connection) -> None:
        self._driver = _driver(connection)

    def columns(self, query: str, cells: list[str]) -> list[Sequence[str | None]]:
        """The rows, turned around."""
        found = self._driver.execute(f"SELECT {', '.join(cells)} FROM ({query}) AS source").fetchall()
        return list(zip(*found, strict=True)) or [()] * len(cells)

    def any_of(self, column: str, texts: pa.Array) -> str:
        """A comparison with each."""
        escaped = pc.replace_substring(texts, "'", "''")
        return f"{column} IN ('" + "', '".join(escaped.to_pylist()) + "')" if len(texts) else "FALSE"

    def rows_with(self, table: str, column: str, texts: pa.Array) -> str:
        """The rows by their condition."""
        return f"(SELECT * FROM {table} WHERE {self.any_of(column, texts)}) AS {table}"

    def rows_with_one(self, table: str, column: str, texts: pa.Array, condition: str) -> str:
        """The same, as SQLite finds the index by itself."""
        return self.rows_with(table, column, texts)
