"""Reading rows from SQLite by one cursor in one read transaction."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Engine, inspect, types

from batch_jobs.strategies.sdk.database import Database, driver_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.databases.sqlite.moments import are_milliseconds, as_text, is_julian, without_zone
from batch_jobs.strategies.tables.formats.csv_writing import copy_by_arrow
from batch_jobs.strategies.tables.formats.json_text import as_json
from batch_jobs.strategies.tables.ranges import NotCut, RowRange
from batch_jobs.strategies.tables.selecting import Parameters, SelectedColumn, Selection, given, nested, with_marks

VIEW = "batch_job_query"
FETCHED = 1_000  # rows at a time; they may be wide
ONE_READER = "SQLite has no snapshot that several connections can read"
#: Bytes of a text that is shown.
SHOWN = 40
#: How a time with a zone ends.
ZONE = r":\d\d(\.\d+)?\s*([Zz]|[+-]\d\d(:?\d\d)?)$"


class SqliteSource:
    """Rows in one read transaction; the connection refuses to write meanwhile."""

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine

    @contextmanager
    def reading(self, snapshot: str | None = None) -> Iterator[Connection]:
        """A transaction that sees the database as it is at its first read."""
        with self._engine.connect() as connection, connection.begin():
            driver = driver_of(connection)
            driver.execute("PRAGMA query_only = ON")
            try:
                yield connection
            finally:
                driver.execute("PRAGMA query_only = OFF")

    def export_snapshot(self, connection: Connection) -> str:
        """There is none."""
        raise NotCut(ONE_READER)

    def ranges(self, connection: Connection, selection: Selection, rows: int, count: int) -> list[RowRange]:
        """There are none: each connection would see another state."""
        raise NotCut(ONE_READER)

    @contextmanager
    def beside(self, connection: Connection) -> Iterator[list[Connection]]:
        """None: a snapshot cannot be shared."""
        yield []

    def reading_in(self, connection: Connection) -> AbstractContextManager[None]:
        """Nothing is needed."""
        return nullcontext()

    def bound(self, connection: Connection, query: str, values: Mapping[str, Any]) -> tuple[str, Parameters]:
        """The values beside the query, whose marks are SQLite's own."""
        return query, {name: _bindable(name, value) for name, value in values.items()} or None

    def query_columns(self, connection: Connection, query: str, parameters: Parameters = None) -> list[SelectedColumn]:
        """The query's columns: declared types where it passes columns through, else those of the values."""
        try:
            found = (
                driver_of(connection).execute(query, *given(parameters)).description
            )  # bare, since a subquery hides doubled names
            declared = self._declared(query)
            names = [name for name, *_ in found]
            values = self._types_of_values(connection, query, names, parameters)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise JobRefused(f"the query is refused: {' '.join(str(error).split())}") from error
        return [
            SelectedColumn(name, _chosen(declared.get(name), of_values))
            for name, of_values in zip(names, values, strict=True)
        ]

    def exact_types(self, connection: Connection, selection: Selection) -> list[types.TypeEngine[Any]]:
        """As declared, and by the values where a table's column has no type of its own."""
        untyped = [column for column in selection.columns if not _is_known(column.type)]
        if not untyped:
            return [column.type for column in selection.columns]
        select = replace(selection, columns=untyped).select(self._database)
        found = self.query_columns(connection, select, selection.parameters)
        by_values = {column.name: column.type for column in found}
        return [by_values.get(column.name, column.type) for column in selection.columns]

    def batches(self, connection: Connection, selection: Selection, nested: bool = False) -> Iterator[pa.Table]:
        """The rows as text; SQLite has no arrays."""
        names = [column.name for column in selection.columns]
        times = _Times(self._database, connection, selection)
        for rows in self._fetched(connection, selection):
            cells = zip(selection.columns, zip(*rows, strict=True), strict=True)
            yield pa.table([_as_text(column, values, times) for column, values in cells], names=names)

    def _fetched(self, connection: Connection, selection: Selection) -> Iterator[list[tuple[Any, ...]]]:
        select = selection.select(self._database)
        cursor = driver_of(connection).execute(select, *given(selection.parameters))
        while True:
            try:
                rows = cursor.fetchmany(FETCHED)
            except sqlite3.OperationalError as error:
                raise _undecodable(driver_of(connection), selection, select) or error from error
            if not rows:
                return
            yield rows

    def copy_csv(
        self, connection: Connection, selection: Selection, delimiter: str, neutralise: bool, stream: BinaryIO
    ) -> Iterator[int]:
        """Write the rows as CSV made by Arrow."""
        batches = self.batches(connection, selection)
        return copy_by_arrow(batches, selection.columns, delimiter, neutralise, stream)

    def _declared(self, query: str) -> dict[str, types.TypeEngine[Any]]:
        # a view knows the declared types of what it passes through; another connection makes it, this one may not write
        unmarked = with_marks(query, lambda name: "NULL")  # a view takes no values
        with self._engine.connect() as scratch, scratch.begin() as transaction:
            driver_of(scratch).execute(f"CREATE TEMPORARY VIEW {VIEW} AS SELECT * FROM {nested(unmarked)}")
            columns = inspect(scratch).get_columns(VIEW, schema="temp")
            transaction.rollback()
        return {column["name"]: column["type"] for column in columns}

    def _types_of_values(
        self, connection: Connection, query: str, names: list[str], parameters: Parameters
    ) -> list[tuple[str | None, str | None]]:
        kinds = [f"nullif(typeof({self._database.quoted(name)}), 'null')" for name in names]
        cells = ", ".join(f"{way}({kind})" for kind in kinds for way in ("min", "max"))
        select = f"SELECT {cells} FROM {nested(query)}"
        found = driver_of(connection).execute(select, *given(parameters)).fetchone()
        return list(zip(found[0::2], found[1::2], strict=True))


def _bindable(name: str, value: Any) -> Any:
    """A value as the columns of a database have it that were loaded here or by SQLAlchemy."""
    if isinstance(value, (int, Decimal)):
        is_whole = isinstance(value, int) or value == value.to_integral_value()
        return int(value) if is_whole and -(1 << 63) <= value < 1 << 63 else float(value)
    if value is None or isinstance(value, (float, str, bytes)):
        return value
    if isinstance(value, datetime):
        in_utc = value.astimezone(UTC) if value.tzinfo else value
        return in_utc.strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.strftime("%H:%M:%S.%f")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, (list, tuple, set, dict)):
        return as_json(value, ", ", ": ")
    raise JobRefused(
        f"the query cannot take its values: {name} is a {type(value).__name__}, which SQLite does not have"
    )


def _is_known(declared: types.TypeEngine[Any]) -> bool:
    """Whether a declared type says what the values are; numbers without digits may be any."""
    return not isinstance(declared, types.NullType) and str(declared) != "NUMERIC"


def _chosen(declared: types.TypeEngine[Any] | None, of_values: tuple[str | None, str | None]) -> types.TypeEngine[Any]:
    if declared is not None and _is_known(declared):
        return declared
    if of_values == (None, None):
        return types.NullType()  # nothing is known, such as of what a query computes of no rows
    if of_values == ("integer", "integer"):
        return types.BigInteger()
    if set(of_values) <= {"integer", "real"}:
        return types.Double()
    return types.LargeBinary() if of_values == ("blob", "blob") else types.Text()


class _Times:
    """The numbers of columns of times as times; whether seconds or milliseconds is asked of each column once."""

    def __init__(self, database: Database, connection: Connection, selection: Selection) -> None:
        self._database, self._connection, self._selection = database, connection, selection
        self._milliseconds: dict[str, bool] = {}

    def shown(self, column: SelectedColumn, values: Sequence[Any]) -> list[str | None]:
        """A column's cells as text."""
        return [self._shown(column, value) for value in values]

    def _shown(self, column: SelectedColumn, value: Any) -> str | None:
        if isinstance(value, (int, float)):
            julian = is_julian(value)
            return as_text(value, not julian and self._in_milliseconds(column)) or repr(value)
        return without_zone(value) if isinstance(value, str) else _cell(column, value)

    def _in_milliseconds(self, column: SelectedColumn) -> bool:
        if column.name not in self._milliseconds:
            name = self._database.quoted(column.name)
            largest = f"SELECT min({name}), max({name}) FROM {self._selection.source} AS source"
            numbers = f"{largest} WHERE typeof({name}) IN ('integer', 'real')"
            found = driver_of(self._connection).execute(numbers, *given(self._selection.parameters)).fetchone()
            self._milliseconds[column.name] = are_milliseconds(found)
        return self._milliseconds[column.name]


class _NoText(bytes):
    """Text that is not UTF-8."""


def _text_or_bytes(raw: bytes) -> str | _NoText:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _NoText(raw)


def _undecodable(driver: Any, selection: Selection, select: str) -> JobRefused | None:
    """What to say of the first cell whose text is not UTF-8, ``None`` where all are."""
    usual, driver.text_factory = driver.text_factory, _text_or_bytes
    try:
        for number, row in enumerate(driver.execute(select, *given(selection.parameters)), 1):
            cells = dict(zip((column.name for column in selection.columns), row, strict=True))
            for name, cell in cells.items():
                if isinstance(cell, _NoText):
                    key = "".join(f", {name}={cells[name]!r}" for name in selection.order_by if name in cells)
                    shown = cell[:SHOWN].decode(errors="backslashreplace")
                    return JobRefused(
                        f"column {name} of {selection.title} has text that is not UTF-8 in row {number}{key}: "
                        f"{shown!r}; correct it, or leave the column out with columns"
                    )
    finally:
        driver.text_factory = usual
    return None


def _as_text(column: SelectedColumn, values: Sequence[Any], times: _Times) -> pa.Array:
    if column.is_boolean or column.is_binary:
        return pa.array([_cell(column, value) for value in values], pa.string())
    try:
        cells = pa.array(values)
        if column.is_moment and _needs_a_look(cells):
            return pa.array(times.shown(column, values), pa.string())
        return cells.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        if column.is_moment:
            return pa.array(times.shown(column, values), pa.string())
        return pa.array(
            [_cell(column, value) for value in values], pa.string()
        )  # SQLite's columns may hold values of any type


def _needs_a_look(cells: pa.Array) -> bool:
    """Whether there are times that are numbers, or text with a zone."""
    if not pa.types.is_string(cells.type):
        return not pa.types.is_null(cells.type)
    return bool(pc.any(pc.match_substring_regex(cells, ZONE)).as_py())


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
        self._driver = driver_of(connection)

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
