"""Reading rows from PostgreSQL by COPY, which the server does faster than anyone reads it."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from psycopg.types.json import Jsonb
from sqlalchemy import Connection, Engine, types
from sqlalchemy.dialects import postgresql

from batch_jobs.strategies.sdk.database import Database, driver_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.databases.postgresql.ranges import find_ranges
from batch_jobs.strategies.tables.databases.reading import BLOCK_BYTES, BLOCK_ROWS, SnapshotGone
from batch_jobs.strategies.tables.ranges import RowRange
from batch_jobs.strategies.tables.selecting import Parameters, SelectedColumn, Selection, nested, with_marks

#: Rows taken between two looks at how much there is; each may be large.
ROWS_AT_ONCE = 64

#: Text that reads the same wherever the server stands.
READABLE = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}
SETTINGS = tuple(f"SET LOCAL {name} = '{value}'" for name, value in READABLE.items())
#: What they are in a transaction, and to have them so again: its triggers and defaults may go by them.
CURRENT = "SELECT " + ", ".join(f"current_setting('{name}')" for name in READABLE)
RESTORE = "SELECT " + ", ".join(f"set_config('{name}', %s, true)" for name in READABLE)

#: A cell that a spreadsheet takes for a formula gets one more apostrophe, which an import takes away again.
#: All such marks come before A in ASCII; asking for that first, by bytes, makes the whole export twice as fast.
NEUTRALISED = (
    """CASE WHEN {0} COLLATE "C" < 'A' AND left(ltrim({0}, ''''), 1) IN ('=', '+', '-', '@', E'\\t', E'\\r') """
    "THEN '''' || {0} ELSE {0} END"
)

#: An array as JSON, but as text where a list cannot say what it is: where its first index is not 1, as a list would
#: start at 1 again, and where JSON null is among its elements, as a list would have no value there.
NESTED = """CASE WHEN {0}::text COLLATE "C" LIKE '[%' THEN to_json({0}::text) ELSE to_json({1}) END"""
NESTED_JSON = (
    """CASE WHEN {0}::text COLLATE "C" LIKE '[%' """
    """OR EXISTS (SELECT FROM unnest({0}) AS element WHERE json_typeof(element::json) = 'null') """
    """THEN to_json({0}::text) ELSE to_json({0}) END"""
)
#: Types of elements that are more than text in JSON too; of others, such as hstore, it would make objects.
NESTED_TYPES = (types.Integer, types.Numeric, types.Boolean, types.Date, types.DateTime)

_INTEGER = types.BigInteger()
_FLOAT: types.TypeEngine[Any] = types.Double()
_TEXT: types.TypeEngine[Any] = types.Text()
#: What is written as text and is none, such as a UUID or an address: it has no collation.
_WRITTEN = types.String()
#: The one array whose elements have another mark between them than a comma.
_BOXES = 1020
#: PostgreSQL's numbers of its types; all others are arrays or written as text.
_TYPES: dict[int, types.TypeEngine[Any]] = {
    16: types.Boolean(),
    17: types.LargeBinary(),
    19: _TEXT,
    20: _INTEGER,
    21: _INTEGER,
    23: _INTEGER,
    25: _TEXT,
    700: _FLOAT,
    701: _FLOAT,
    114: types.JSON(),
    3802: postgresql.JSONB(),
    1042: _TEXT,
    1043: _TEXT,
    1082: types.Date(),
    1083: types.Time(),
    1114: types.DateTime(),
    1184: types.DateTime(timezone=True),
    1700: types.Numeric(),
}


class PostgresqlSource:
    """Rows by COPY in one REPEATABLE READ READ ONLY transaction."""

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine

    @contextmanager
    def reading(self, snapshot: str | None = None) -> Iterator[Connection]:
        """A transaction on one snapshot."""
        with self._transaction(snapshot, *SETTINGS) as connection:
            yield connection

    def export_snapshot(self, connection: Connection) -> str:
        """The server keeps it while the transaction is open, in which nothing more may be asked for a long time."""
        driver = driver_of(connection)
        driver.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        (snapshot,) = driver.execute("SELECT pg_export_snapshot()").fetchone()
        return str(snapshot)

    def ranges(self, connection: Connection, selection: Selection, rows: int, count: int) -> list[RowRange]:
        """By a sample of the columns that the order goes by, or by blocks."""
        return find_ranges(connection, self._database, selection, rows, count)

    @contextmanager
    def beside(self, connection: Connection) -> Iterator[list[Connection]]:
        """One more on the same snapshot, so that two processes of the server read."""
        with self.reading(self.export_snapshot(connection)) as other:
            yield [other]

    @contextmanager
    def reading_in(self, connection: Connection) -> Iterator[None]:
        """By settings that end with the block; after an error they end with the transaction."""
        driver = driver_of(connection)
        before = driver.execute(CURRENT).fetchone()
        driver.execute("; ".join(SETTINGS))
        yield
        driver.execute(RESTORE, before)

    def bound(self, connection: Connection, query: str, values: Mapping[str, Any]) -> tuple[str, Parameters]:
        """The driver writes the values into the text: COPY takes none beside it."""
        if not values:
            return query, None
        marked = with_marks(query.replace("%", "%%"), "%({})s".format)
        plain = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in values.items()}
        try:
            return psycopg.ClientCursor(driver_of(connection)).mogrify(marked, plain), None
        except (psycopg.Error, ValueError) as error:
            raise JobRefused(f"the query cannot take its values: {' '.join(str(error).split())}") from error

    def query_columns(self, connection: Connection, query: str, parameters: Parameters = None) -> list[SelectedColumn]:
        """The query's columns; preparing it makes the server refuse more than one statement."""
        try:
            found = driver_of(connection).execute(f"SELECT * FROM {nested(query)} AS source LIMIT 0", prepare=True)
        except psycopg.errors.QueryCanceled:
            raise  # it may be a good one that was ended
        except psycopg.Error as error:
            raise JobRefused(
                f"the query is refused: {' '.join((error.diag.message_primary or str(error)).split())}"
            ) from error
        known = _TYPES | _arrays(connection, {column.type_code for column in found.description} - _TYPES.keys())
        return [SelectedColumn(column.name, known.get(column.type_code, _WRITTEN)) for column in found.description]

    def exact_types(self, connection: Connection, selection: Selection) -> list[types.TypeEngine[Any]]:
        """As the server describes the result."""
        found = driver_of(connection).execute(f"{selection.select(self._database)} LIMIT 0").description
        arrays = _arrays(connection, {column.type_code for column in found} - _TYPES.keys())
        return [_exact(column, arrays) for column in found]

    def batches(self, connection: Connection, selection: Selection, nested: bool = False) -> Iterator[pa.Table]:
        """The rows as text."""
        names = [column.name for column in selection.columns]
        cells = [
            self._nested(column) if nested and column.is_array else self._cell(column) for column in selection.columns
        ]
        for block, _rows in _blocks(connection, selection.select(self._database, cells), ","):
            yield _parsed(block, names)

    def copy_csv(
        self, connection: Connection, selection: Selection, delimiter: str, neutralise: bool, stream: BinaryIO
    ) -> Iterator[int]:
        """Write what the server sends as it is."""
        cells = [
            self._neutralised(column) if neutralise and column.is_text else self._cell(column)
            for column in selection.columns
        ]
        for block, rows in _blocks(connection, selection.select(self._database, cells), delimiter):
            stream.write(block)
            yield rows

    def _cell(self, column: SelectedColumn) -> str:
        return f"source.{self._database.quoted(column.name)}" + ("::text" if column.is_boolean else "")

    def _nested(self, column: SelectedColumn) -> str:
        cell, element = self._cell(column), getattr(column.type, "item_type", _WRITTEN)
        if isinstance(element, types.JSON):
            return NESTED_JSON.format(cell)
        return NESTED.format(cell, cell if isinstance(element, NESTED_TYPES) else f"{cell}::text[]")

    def _neutralised(self, column: SelectedColumn) -> str:
        cell = f"source.{self._database.quoted(column.name)}"
        return NEUTRALISED.format(cell if isinstance(column.type, types.Text) else f"{cell}::text")

    @contextmanager
    def _transaction(self, snapshot: str | None, *settings: str) -> Iterator[Connection]:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            if snapshot is not None:
                _set_snapshot(driver_of(connection), snapshot)
            for setting in settings:
                driver_of(connection).execute(setting)
            yield connection


def _set_snapshot(driver: Any, snapshot: str) -> None:
    try:
        driver.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
    except (psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject) as error:
        raise SnapshotGone from error


def _arrays(connection: Connection, numbers: set[int]) -> dict[int, types.TypeEngine[Any]]:
    """Those of these types that are arrays."""
    if not numbers:
        return {}
    query = "SELECT oid::int8, typelem::int8 FROM pg_type WHERE oid = ANY (%s) AND typcategory = 'A'"
    found = driver_of(connection).execute(query, [list(numbers)])
    return {number: postgresql.ARRAY(_TYPES.get(element, _WRITTEN)) for number, element in found}


def _exact(column: psycopg.Column, arrays: dict[int, types.TypeEngine[Any]]) -> types.TypeEngine[Any]:
    if column.type_code in arrays and column.type_code != _BOXES:
        return arrays[column.type_code]
    found = _TYPES.get(column.type_code, _WRITTEN)
    return types.Numeric(column.precision, column.scale) if type(found) is types.Numeric else found


def _blocks(connection: Connection, select: str, delimiter: str) -> Iterator[tuple[bytes, int]]:
    mark = delimiter.replace("'", "''")
    with (
        driver_of(connection).cursor() as cursor,
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


#: The planner knows nothing of rows just loaded: it would read whole tables for each lookup, or spend longer on
#: starting helpers and compiling than the reading takes.
LOOKUP_SETTINGS = (
    "SET LOCAL enable_seqscan = off",
    "SET LOCAL max_parallel_workers_per_gather = 0",
    "SET LOCAL jit = off",
)


class PostgresqlLookup:
    """Finds rows by arrays of texts, and reads them as one array a column."""

    def __init__(self, connection: Connection) -> None:
        self._driver = driver_of(connection)
        self._driver.execute("; ".join(LOOKUP_SETTINGS))

    def columns(self, query: str, cells: list[str]) -> list[Sequence[str | None]]:
        """One array a column: thousands of tuples would keep the garbage collector busy."""
        arrays = ", ".join(f"array_agg({cell})" for cell in cells)
        # binary, since the cells of an array as text would be quoted there and unquoted here
        found = self._driver.execute(f"SELECT {arrays} FROM ({query}) AS source", binary=True).fetchone()
        return [column or [] for column in found]

    def any_of(self, column: str, texts: pa.Array) -> str:
        """A comparison with an array."""
        return f"{column} = ANY ({_array(texts)})"

    def rows_with(self, table: str, column: str, texts: pa.Array) -> str:
        """The rows behind a fence: a condition added outside of it might tempt the planner to another index."""
        return f"(SELECT * FROM {table} WHERE {self.any_of(column, texts)} OFFSET 0) AS {table}"

    def rows_with_one(self, table: str, column: str, texts: pa.Array, condition: str) -> str:
        """One look into the index for each text."""
        rows = f"SELECT * FROM {table} WHERE {column} = wanted.value AND {condition} OFFSET 0"
        wanted = f"SELECT unnest({_array(texts)}) AS value"
        return f"(SELECT found.* FROM ({wanted}) AS wanted CROSS JOIN LATERAL ({rows}) AS found) AS {table}"


def _array(texts: pa.Array) -> str:
    # one array is read much faster than a list of thousands of constants
    for mark, escaped in (("\\", "\\\\"), ('"', '\\"'), ("'", "''")):
        texts = pc.replace_substring(texts, mark, escaped)
    cells = '","'.join(texts.to_pylist())
    return f"""'{{"{cells}"}}'::text[]""" if len(texts) else "'{}'::text[]"
