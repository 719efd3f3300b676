"""Reading from PostgreSQL by COPY, for every format: the server writes text faster than anyone reads it."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO

import psycopg
import pyarrow as pa
import pyarrow.csv
from sqlalchemy import Connection, Engine, types

from strategies.errors import JobRefused
from strategies.tabular.exporting import BLOCK_BYTES, BLOCK_ROWS
from strategies.tabular.selecting import SelectedColumn, Selection, nested
from strategies.tabular.tables import quoted

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
