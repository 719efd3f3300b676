"""SQLite: a file with one writer at a time, read by all meanwhile (WAL)."""

import math
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Column, Connection, Date, DateTime, Engine, Table, Time, create_engine, event, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.sdk.closed_folders import make_file, make_folder
from batch_jobs.strategies.sdk.database import Database, UniqueKey, driver_of
from batch_jobs.strategies.tables.databases.sqlite.functions import SAME_JSON, SAME_TIME, register

if TYPE_CHECKING:
    from batch_jobs.strategies.sdk.data_access import DataAccess
    from batch_jobs.strategies.tables.databases.loading import Destination, Loader
    from batch_jobs.strategies.tables.databases.reading import Lookup, Source

BUSY_SECONDS = 60
PASSING_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
#: Tables that are of every database, with what is in its file and its statements.
VIRTUAL = ("dbstat", "bytecode", "tables_used")
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
#: Of a view, how many triggers stand in for writing; no row where it is none.
VIEW_TRIGGERS = text(
    "SELECT (SELECT count(*) FROM sqlite_master AS t WHERE t.type = 'trigger' AND t.tbl_name = v.name) "
    "FROM sqlite_master AS v WHERE v.type = 'view' AND v.name = :name COLLATE NOCASE"
)
_WEEKDAY = "substr('SunMonTueWedThuFriSat', 1 + 3 * CAST(strftime('%w', {0}) AS integer), 3)"
_MONTH = "substr('JanFebMarAprMayJunJulAugSepOctNovDec', 3 * CAST(strftime('%m', {0}) AS integer) - 2, 3)"
_HTTP_DATE = f"{_WEEKDAY} || strftime(', %d ', {{0}}) || {_MONTH} || strftime(' %Y %H:%M:%S GMT', {{0}})"


class Sqlite(Database):
    """SQLite by the standard library's driver."""

    name = "sqlite"
    max_columns = 2000
    max_name_bytes = 1 << 20
    is_embedded = True
    has_time_zones = False
    integer_bits = 64
    real_bits = 64
    has_decimals = False
    has_nan = False
    numbers_integer_keys = True
    differs = "IS NOT"
    lower = "unicode_lower"
    folds_names = True
    exact_collation = '"BINARY"'
    written_order = "rowid"
    row_errors = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError)

    def may_pass(self, error: BaseException) -> bool:
        """By the code: somebody else has the file locked."""
        return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in PASSING_CODES

    def is_full(self, error: BaseException) -> bool:
        """By the code."""
        return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL

    def make_engine(self, url: URL) -> Engine:
        """An engine in WAL mode (readers never wait) for a file whose folder is made."""
        if url.database and url.database != ":memory:":
            make_folder(Path(url.database).parent)
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "do_connect", _make_file)
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        return engine

    def for_writing(self, connection: Connection) -> Connection:
        """The connection set to take the one write lock when its transaction begins.

        A transaction that reads first and writes later is refused at once when another wrote in between, however
        long it may wait; taking the lock first makes it wait instead.
        """
        return connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")

    def same_meaning(self, type: TypeEngine[Any], left: str, right: str) -> str | None:
        """Times and JSON are text in whatever form an application writes them."""
        if isinstance(type, (Date, DateTime, Time)):
            return f"{SAME_TIME}({left}, {right})"
        return f"{SAME_JSON}({left}, {right})" if isinstance(type, JSON) else None

    def column_identity(self, name: str) -> str:
        """ASCII letters are taken for the same in either case."""
        return "".join(letter.lower() if letter.isascii() else letter for letter in name)

    def insert(self, table: Table) -> Any:
        """SQLite's own INSERT."""
        return sqlite.insert(table)

    def http_date(self, time: str) -> str:
        """Put together, as ``strftime`` knows no names."""
        return _HTTP_DATE.format(time)

    def floor(self, number: str) -> str:
        """By a cast, which cuts: the function is not in every build."""
        whole = f"CAST({number} AS integer)"
        return f"({whole} - CASE WHEN {whole} > {number} THEN 1 ELSE 0 END)"

    def concatenated(self, rows: str) -> str:
        """From ordered rows, since an aggregate takes an ORDER BY of its own only from version 3.44 on."""
        return f"SELECT key, group_concat(word, ',') AS words FROM ({rows} ORDER BY place) AS ordered GROUP BY key"

    def unique_keys(self, connection: Connection, table: Table) -> list[UniqueKey]:
        """By PRAGMA, which sees those in a column's definition too."""
        from batch_jobs.strategies.tables.databases.sqlite.keys import unique_keys

        return unique_keys(connection, table)

    def why_not_writable(self, connection: Connection, table: Table, mode: str) -> str | None:
        """A view takes rows only by a trigger."""
        triggers = connection.execute(VIEW_TRIGGERS, {"name": table.name}).one_or_none()
        if triggers is None:
            return None
        if not triggers[0]:
            return f"{table.name} is a view without an INSTEAD OF trigger; load into the table behind it"
        if mode == "append":
            return None
        behind = "load into the table behind it, or append"
        return f"{table.name} is a view, and has no unique index to match rows by; {behind}"

    def distinguishes_by_text(self, column: Column[Any]) -> bool:
        """By the column's type."""
        from batch_jobs.strategies.tables.databases.sqlite.keys import distinguishes_by_text

        return distinguishes_by_text(column)

    def literal(self, value: object) -> str:
        """Truth as a number."""
        return super().literal(int(value) if isinstance(value, bool) else value)

    def constant(self, value: object) -> str:
        """Truth and infinity as numbers, bytes in hexadecimal, and so a text that has a NUL character."""
        if isinstance(value, bytes):
            return f"X'{value.hex()}'"
        if isinstance(value, str) and "\0" in value:
            return f"CAST(X'{value.encode().hex()}' AS TEXT)"
        if isinstance(value, float) and math.isinf(value):
            return "9e999" if value > 0 else "(-9e999)"
        return str(int(value)) if isinstance(value, bool) else super().constant(value)

    def shown(self, cell: str) -> str:
        r"""Bytes in hexadecimal after ``\x``."""
        return f"CASE typeof({cell}) WHEN 'blob' THEN '\\x' || lower(hex({cell})) ELSE CAST({cell} AS TEXT) END"

    def may_alter_rows(self, connection: Connection, table: Table) -> bool:
        """By its triggers."""
        from batch_jobs.strategies.tables.databases.sqlite.logging import has_triggers

        return has_triggers(connection, table)

    def carried(self, cell: str) -> str:
        """Itself, since text has fewer digits than a number."""
        return cell

    def loader(self, destination: "Destination") -> "Loader":
        """Loads by ``executemany``."""
        from batch_jobs.strategies.tables.databases.sqlite.loader import SqliteLoader

        return SqliteLoader(self, destination)

    def source(self, engine: Engine) -> "Source":
        """Reads by one cursor in one read transaction."""
        from batch_jobs.strategies.tables.databases.sqlite.source import SqliteSource

        return SqliteSource(self, engine)

    def query_source(self, engine: Engine, access: "DataAccess") -> "Source":
        """The same, whose statements an authorizer looks at."""
        from batch_jobs.strategies.tables.databases.sqlite.query import SqliteQuerySource

        return SqliteQuerySource(self, engine, access)

    def is_system_table(self, schema: str | None, table: str) -> bool:
        """By the names that SQLite keeps for itself; https://sqlite.org/vtab.html has those it makes up."""
        name = table.casefold()
        return name.startswith(("sqlite_", "pragma_")) or name in VIRTUAL

    def interrupt(self, connection: Connection) -> None:
        """By the driver, which takes this from another thread."""
        driver = driver_of(connection)
        driver.interrupt()

    def lookup(self, connection: Connection) -> "Lookup":
        """Finds by a list of constants."""
        from batch_jobs.strategies.tables.databases.sqlite.source import SqliteLookup

        return SqliteLookup(connection)


def _make_file(dialect: Any, record: Any, arguments: list[Any], parameters: dict[str, Any]) -> None:
    """Make the file that is about to be opened: SQLite would give it whatever the umask leaves; its WAL is as it is."""
    path = Path(str(arguments[0]))
    if str(path) != ":memory:" and not parameters.get("uri") and not path.exists():
        with suppress(OSError):  # SQLite says what is wrong
            make_file(path)


def _configure(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.isolation_level = None  # the driver's own BEGIN comes too late to choose its kind
    dbapi_connection.create_function(Sqlite.lower, 1, _lower, deterministic=True)  # its own knows ASCII only
    cursor = dbapi_connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    register(dbapi_connection)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))
