"""What differs between databases, in one class each, found by the name of its SQLAlchemy dialect.

A ``Database`` comes from the entry point group ``batch_jobs.databases``; ours are in ``strategies.tables.databases``.
Nothing else branches on a dialect.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import Column, Connection, Engine, Table
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.sdk.errors import DatabaseUnsupported
from batch_jobs.strategies.sdk.forks import without_inheritance

if TYPE_CHECKING:  # these need pyarrow, which only work on rows loads
    from batch_jobs.strategies.sdk.data_access import DataAccess
    from batch_jobs.strategies.tables.databases.loading import Destination, Loader
    from batch_jobs.strategies.tables.databases.reading import Lookup, Source

#: Under which a connection's record has what stands in for the driver's connection.
STAND_IN = "stand_in"
ENTRY_POINT_GROUP = "batch_jobs.databases"
#: Kept open once they were needed; one beyond would be opened and closed with each use, which costs more than the use.
CONNECTIONS = 12


@dataclass(frozen=True)
class UniqueKey:
    """Columns that are kept unique together, and the collations by which different texts in them are equal."""

    columns: frozenset[str]
    collations: Mapping[str, str]


class Database:
    """One kind of database: its capabilities as data, and what it does in a way of its own.

    What is defined here is standard SQL; a subclass states the rest. It is stateless, and made once a process.
    """

    #: SQLAlchemy's name of the dialect; also the name of the entry point.
    name: ClassVar[str]
    max_columns: ClassVar[int]
    max_name_bytes: ClassVar[int]
    #: Whether it is a file of this machine, with one writer at a time; its tables are brought up to date unasked.
    is_embedded: ClassVar[bool] = False
    #: Whether a time keeps its zone.
    has_time_zones: ClassVar[bool] = True
    #: How wide its INTEGER is.
    integer_bits: ClassVar[int] = 32
    #: How wide its REAL is.
    real_bits: ClassVar[int] = 32
    #: Whether it has exact decimal numbers; otherwise they are kept as floating-point ones.
    has_decimals: ClassVar[bool] = True
    #: Whether a floating-point number may be NaN.
    has_nan: ClassVar[bool] = True
    #: Whether days, times and decimals may be what Python has not: infinite, before Christ, after 9999, 24:00, NaN.
    has_endless_values: ClassVar[bool] = False
    #: Whether columns may hold arrays.
    has_arrays: ClassVar[bool] = False
    #: What the fixed parts of a row's values may take together, in bytes.
    max_row_bytes: ClassVar[int | None] = None
    #: Whether a table's only key column gets a number where an INTEGER is left empty.
    numbers_integer_keys: ClassVar[bool] = False
    #: How it says that two values differ, NULL being a value like any other.
    differs: ClassVar[str] = "IS DISTINCT FROM"
    #: Its function for lower case, that of letters beyond ASCII included.
    lower: ClassVar[str] = "lower"
    #: Whether names of tables that differ in upper and lower case only are the same.
    folds_names: ClassVar[bool] = False
    #: The collation by which only the same texts are equal.
    exact_collation: ClassVar[str]
    #: The hidden column of every table by which rows are in the order in which they were written.
    written_order: ClassVar[str]
    #: Whether several connections can read one snapshot.
    shares_snapshots: ClassVar[bool] = False
    #: What a SELECT ends with that keeps others from changing its rows until the transaction ends; nothing where a
    #: writing transaction is alone in any case.
    row_lock: ClassVar[str] = ""
    #: What the driver raises when it refuses a row, as opposed to being unable to work.
    row_errors: ClassVar[tuple[type[Exception], ...]]

    def may_pass(self, error: BaseException) -> bool:
        """Whether the driver's error has the code of a failure that passes by itself: a deadlock, a lock not had."""
        return False

    def has_lost(self, error: BaseException) -> bool:
        """Whether the driver's error says that the connection is lost or could not be made."""
        return False

    def has_no_connection_free(self, error: BaseException) -> bool:
        """Whether the server refused to connect as it has, or this role has, as many connections as it may have."""
        return False

    def will_never_connect(self, error: BaseException) -> bool:
        """Whether connecting will fail each time as it is asked for now, such as for a wrong password."""
        return True

    def is_full(self, error: BaseException) -> bool:
        """Whether the driver's error says that the database's disk is full."""
        return False

    def make_engine(self, url: URL) -> Engine:
        """An engine whose writers wait for each other, and whose lost connections are replaced."""
        raise NotImplementedError

    def make_small_engine(self, url: URL, name: str, kept: int, beyond: int) -> Engine:
        """As ``make_engine``, for a server that may have few connections.

        Args:
            url: the database's.
            name: what the sessions are called.
            kept: how many connections stay open once they were needed.
            beyond: how many more there may be at a time; who needs another one waits for one of these.
        """
        return self.make_engine(url)

    def end_idle_transactions(self, engine: Engine, seconds: int) -> None:
        """Let the server end transactions of this engine in which nothing is asked for so long."""

    def for_reading(self, engine: Engine) -> Engine:
        """The engine set for single statements that only read."""
        return engine

    def for_writing(self, connection: Connection) -> Connection:
        """The connection set for a transaction that reads first and writes later."""
        return connection

    def lock(self, connection: Connection, name: str) -> None:
        """Wait until no other transaction has this name locked, and lock it until this one ends.

        Nothing to do where a writing transaction is alone in any case.
        """

    def try_lock(self, connection: Connection, name: str) -> bool:
        """Lock a name as ``lock`` does, without blocking; returns whether it is locked now."""
        return True

    def limit_lock_waits(self, connection: Connection, seconds: float) -> None:
        """Let a statement of this transaction fail that waits longer for a lock; nothing where a file is locked."""

    def is_lock_timeout(self, error: BaseException) -> bool:
        """Whether the driver raised this as ``limit_lock_waits`` has it."""
        return False

    def stop_lock_waits(self, engine: Engine) -> None:
        """Stop the statements of the engine's sessions, known by their name, that wait for somebody else's lock."""

    def end_sessions(self, engine: Engine, is_to_end: Callable[[str], bool]) -> Sequence[str]:
        """End other sessions of this database, by their names; returns a line for each that this role may not end."""
        return ()

    def commit_lazily(self, connection: Connection) -> None:
        """Let this transaction's commit return before it is on the disk, where there is such a thing.

        For a commit that a later, waiting one follows: losing both with the server only repeats work.
        """

    def expect_many_rows(self, connection: Connection) -> None:
        """Have the rest of the transaction planned for many rows, also of tables whose statistics say there are few."""

    def plan_freely(self, connection: Connection) -> None:
        """Have the rest of the transaction planned as if nothing was said of how to look rows up."""

    def insert(self, table: Table) -> Any:
        """The INSERT of SQLAlchemy that has ``on_conflict_do_update``."""
        raise NotImplementedError

    def quoted(self, name: str) -> str:
        """An identifier as SQL writes it, for the driver as it is (SQLAlchemy doubles ``%`` for its placeholders)."""
        return '"' + name.replace('"', '""') + '"'

    def column_identity(self, name: str) -> str:
        """What is the same for names that mean one column to the database."""
        return name

    def quoted_table(self, table: Table) -> str:
        """The table's name in SQL, with its schema when it was given with one."""
        return ".".join(self.quoted(part) for part in (table.schema, table.name) if part)

    def names(self, columns: Sequence[str]) -> str:
        """Column names as a list in SQL."""
        return ", ".join(map(self.quoted, columns))

    def same_meaning(self, type: TypeEngine[Any], left: str, right: str) -> str | None:
        """The condition that two cells which differ mean the same; ``None`` where all that differs does."""
        return None

    def http_date(self, time: str) -> str:
        """The SQL for a time as browsers write it, such as ``Tue, 24 Nov 2026 03:04:45 GMT``."""
        raise NotImplementedError

    def floor(self, number: str) -> str:
        """The SQL for the largest whole number that is no more than a number."""
        return f"floor({number})"

    def concatenated(self, rows: str) -> str:
        """A query with one row (``key``, ``words``) for each key: its words between commas, by their place.

        Args:
            rows: a query of ``key``, ``word`` and ``place``.
        """
        raise NotImplementedError

    def has_extension(self, connection: Connection, name: str) -> bool:
        """Whether the server can be given this extension by ``CREATE EXTENSION``."""
        return False

    def refusal(self, error: Exception) -> str:
        """Why the database refuses a row, in one line, from an error that ``is_about_a_row``."""
        return " ".join(str(error).split())

    def is_about_a_row(self, error: Exception) -> bool:
        """Whether the driver raised this because of a value or a row, not because it is unable to work."""
        return isinstance(error, self.row_errors)

    def unique_keys(self, connection: Connection, table: Table) -> list[UniqueKey]:
        """The columns kept unique for every row at once: by primary key, constraints and whole unique indexes."""
        raise NotImplementedError

    def why_not_writable(self, connection: Connection, table: Table, mode: str) -> str | None:
        """Why a table takes no rows in this mode, for a person; ``None`` where it does, as far as is known.

        Args:
            connection: to the database.
            table: is there.
            mode: of ``table-import``.
        """
        return None

    def why_in_order(
        self,
        connection: Connection,
        table: Table,
        columns: Sequence[str],
        key: Sequence[str],
        apart: Collection[frozenset[str]] = (),
    ) -> str | None:
        """Why what becomes of rows may depend on those written before them, for a person; ``None`` where it does not.

        Args:
            connection: to the database.
            table: is there.
            columns: those that rows bring along.
            key: by which no two of the rows are the same; empty for none.
            apart: further sets of columns by which no two of them are, whatever rows an index on these is of.
        """
        return f"whether rows of {self.name} depend on those before them is not known"

    def may_alter_rows(self, connection: Connection, table: Table) -> bool:
        """Whether rows may become others than were written, such as by a trigger; ``True`` where that is not known."""
        key = [column.name for column in table.primary_key]
        apart = {frozenset(index.columns.keys()) for index in table.indexes if index.unique}
        return self.why_in_order(connection, table, list(table.columns.keys()), key, apart) is not None

    def distinguishes_by_text(self, column: Column[Any]) -> bool:
        """Whether values of a column are equal where their usual texts are, and only there."""
        raise NotImplementedError

    def literal(self, value: object) -> str:
        """A value as SQL writes it, to be taken for the type of the column beside it."""
        if value is None:
            return "NULL"
        return "'" + str(value).replace("'", "''") + "'"

    def constant(self, value: object) -> str:
        """A value by itself as SQL writes it: of its own type, text of whatever type is wanted there; a list for IN."""
        if isinstance(value, Enum):
            return self.constant(value.value)
        if isinstance(value, (list, tuple, set, frozenset)):
            return f"({', '.join(map(self.constant, value)) or 'NULL'})"
        if isinstance(value, bool):
            return str(value).upper()
        if isinstance(value, (int, float, Decimal)) and math.isfinite(value):
            return f"({value})"  # two minus signs would begin a comment
        return self.literal(value)

    def shown(self, cell: str) -> str:
        """The SQL for the text of a cell, whatever it holds."""
        return f"CAST({cell} AS TEXT)"

    def carried(self, cell: str) -> str:
        """The SQL for a cell whose value is to come back exactly as it is."""
        return f"CAST({cell} AS TEXT)"

    def loader(self, destination: "Destination") -> "Loader":
        """What writes rows into a table."""
        raise NotImplementedError

    def source(self, engine: Engine) -> "Source":
        """What reads rows for an export."""
        raise NotImplementedError

    def query_source(self, engine: Engine, access: "DataAccess") -> "Source":
        """What reads the rows of a query that somebody wrote, which may do no more than read what they may."""
        raise NotImplementedError

    def interrupt(self, connection: Connection) -> None:
        """End the statement that another thread waits for on this connection, with an error there.

        Nothing to do where none runs, or where the driver has no such.
        """

    def is_system_table(self, schema: str | None, table: str) -> bool:
        """Whether a table is one of the database itself, in a schema or by its name."""
        return schema == "information_schema"

    def schema_of(self, connection: Connection, table: Table) -> str | None:
        """The schema where a table is that was found."""
        return table.schema

    def replace_domains(self, connection: Connection, table: Table) -> None:
        """Give columns of a domain the type that it is over."""

    def lookup(self, connection: Connection) -> "Lookup":
        """What finds rows by many texts at once, in the connection's transaction."""
        raise NotImplementedError


@lru_cache
def database_named(name: str) -> Database:
    """The database of this SQLAlchemy dialect.

    Raises:
        DatabaseUnsupported: no entry point has this name.
    """
    for found in entry_points(group=ENTRY_POINT_GROUP, name=name):
        database: type[Database] = found.load()
        return database()
    raise DatabaseUnsupported(name, sorted(entry_points(group=ENTRY_POINT_GROUP).names))


@lru_cache
def installed_databases() -> tuple[Database, ...]:
    """All databases that jobs can work with here."""
    return tuple(database_named(name) for name in sorted(entry_points(group=ENTRY_POINT_GROUP).names))


def is_full(error: BaseException) -> bool:
    """Whether an error of SQLAlchemy or of a driver says that a database's disk is full."""
    raised = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return any(database.is_full(raised) for database in installed_databases())


def driver_says(error: BaseException) -> str:
    """The first line of what a driver reported, without SQLAlchemy's words around it and the whole statement."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]


def database_of(bind: Engine | Connection) -> Database:
    """The database behind an engine or a connection.

    Raises:
        DatabaseUnsupported: nobody has said how to work with it.
    """
    return database_named(bind.dialect.name)


def database_of_url(url: str) -> Database:
    """The database that a URL leads to.

    Raises:
        DatabaseUnsupported: nobody has said how to work with it.
        ArgumentError: it is no URL of a database.
    """
    return database_named(make_url(url).get_backend_name())


def is_database_url(url: str) -> bool:
    """Whether this is a URL of a database that jobs can work with."""
    try:
        database_of_url(url)
    except (ArgumentError, DatabaseUnsupported):
        return False
    return True


def make_engine(url: str) -> Engine:
    """Return an engine for the URL of a database; ``postgresql://`` is read as psycopg 3, and SQLite's folder is made.

    Raises:
        DatabaseUnsupported: nobody has said how to work with such a database.
    """
    return without_inheritance(database_of_url(url).make_engine(make_url(url)))


def make_small_engine(url: str, name: str, kept: int, beyond: int = 0) -> Engine:
    """As ``make_engine``, for a server that may have few connections.

    Args:
        url: the database's.
        name: what the sessions are called.
        kept: how many connections stay open once they were needed.
        beyond: how many more there may be at a time; who needs another one waits for one of these.

    Raises:
        DatabaseUnsupported: nobody has said how to work with such a database.
    """
    return without_inheritance(database_of_url(url).make_small_engine(make_url(url), name, kept, beyond))


def driver_of(connection: Connection) -> Any:
    """The driver's own connection behind one of SQLAlchemy's, in the same transaction, or what stands in for it."""
    return connection.info.get(STAND_IN) or connection.connection.driver_connection


def for_writing(connection: Connection) -> Connection:
    """Return the connection set for a transaction that reads first and writes later."""
    return database_of(connection).for_writing(connection)


def for_reading(engine: Engine) -> Engine:
    """Return the engine set for single statements that only read."""
    return database_of(engine).for_reading(engine)
