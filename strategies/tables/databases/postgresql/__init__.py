"""PostgreSQL: a server with many writers, by psycopg 3."""

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import JSON, Column, Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.sdk.database import CONNECTIONS, Database, UniqueKey, driver_of
from batch_jobs.strategies.sdk.sessions import NAME
from batch_jobs.strategies.tables.databases.postgresql import connections

if TYPE_CHECKING:
    from batch_jobs.strategies.sdk.data_access import DataAccess
    from batch_jobs.strategies.tables.databases.loading import Destination, Loader
    from batch_jobs.strategies.tables.databases.reading import Lookup, Source

#: A connection that was in use so lately is not asked again whether it lives: that is a round trip of its own.
FRESH_SECONDS = 1.0
#: How long one waits for a connection of the pool that another has, who may find out only now that it is lost.
POOL_SECONDS = 60.0
#: Sorting is done in memory, not on the server's disk. And of rows just loaded the planner knows nothing: it would take
#: many for few and look each of them up, which takes longer with every row; hashing whole tables does not.
MANY_ROWS = ("SET LOCAL work_mem = '64MB'", "SET LOCAL enable_nestloop = off")
#: Ways of finding rows, which loading turns off.
WAYS = ("hashjoin", "mergejoin", "memoize", "bitmapscan")
#: Whether two cells are the same JSON, by jsonb, which has an equality; what jsonb cannot hold is compared by its text.
SAME_JSON = r"""(CASE WHEN
    regexp_replace(concat({0}, ' ', {1}), '\\ud[89ab][0-9a-f][0-9a-f]\\ud[c-f][0-9a-f][0-9a-f]', '', 'gi')
    ~* '\\u(0000|d[89a-f])' THEN FALSE
    ELSE CAST(CAST({0} AS TEXT) AS JSONB) IS NOT DISTINCT FROM CAST(CAST({1} AS TEXT) AS JSONB) END)"""
SCHEMA_OF = """SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = to_regclass(:name)"""
#: How long to wait for the server to take a request to end a statement.
CANCEL_SECONDS = 5.0
#: A commit that waits for the disk waits for all before it.
COMMIT_LAZILY = "SET LOCAL synchronous_commit = off"

#: SQLSTATEs of failures that pass: serialization and deadlock, connections lost, too many of them, the server being
#: restarted, a lock not had in time, a statement ended by a limit of time or by somebody else.
PASSING_STATES = ("08", "40001", "40003", "40P01", "53300", "55P03", "57014", "57P0", "25P03", "25P04")


class Postgresql(Database):
    """PostgreSQL by psycopg 3."""

    name = "postgresql"
    max_columns = 1600
    max_name_bytes = 63
    exact_collation = '"C"'
    has_endless_values = True
    has_arrays = True
    max_row_bytes = 8160
    written_order = "ctid"
    shares_snapshots = True
    row_lock = "FOR NO KEY UPDATE"  # rows that refer to these may still come in
    row_errors = (
        psycopg.DataError,
        psycopg.IntegrityError,
        psycopg.errors.RaiseException,  # a trigger says no
        psycopg.errors.ProgramLimitExceeded,  # a value too long for an index
    )

    def may_pass(self, error: BaseException) -> bool:
        """By SQLSTATE."""
        return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(PASSING_STATES)

    def has_lost(self, error: BaseException) -> bool:
        """An operational error to which the server gave no code."""
        return isinstance(error, psycopg.OperationalError) and error.sqlstate is None

    def has_no_connection_free(self, error: BaseException) -> bool:
        """By the text: a connection that was not made has no SQLSTATE."""
        return connections.NONE_FREE.search(str(error)) is not None

    def will_never_connect(self, error: BaseException) -> bool:
        """By the text, as above; what is not known passes by itself."""
        return connections.NEVER.search(str(error)) is not None

    def is_full(self, error: BaseException) -> bool:
        """By SQLSTATE."""
        return isinstance(error, psycopg.errors.DiskFull)

    def make_engine(self, url: URL) -> Engine:
        """An engine with psycopg 3, unless the URL names another driver."""
        return _engine(url, NAME, pool_size=CONNECTIONS)

    def make_small_engine(self, url: URL, name: str, kept: int, beyond: int) -> Engine:
        """By the size of its pool; the sessions' name is PostgreSQL's ``application_name``."""
        return _engine(url, name, pool_size=kept, max_overflow=beyond, pool_timeout=POOL_SECONDS)

    def end_idle_transactions(self, engine: Engine, seconds: int) -> None:
        """By ``idle_in_transaction_session_timeout``."""
        connections.end_idle_transactions(engine, seconds)

    def limit_lock_waits(self, connection: Connection, seconds: float) -> None:
        """By ``lock_timeout``."""
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(1000 * seconds)}")

    def is_lock_timeout(self, error: BaseException) -> bool:
        """By SQLSTATE."""
        return isinstance(error, psycopg.errors.LockNotAvailable)

    def stop_lock_waits(self, engine: Engine) -> None:
        """By ``application_name`` and ``pg_cancel_backend``."""
        connections.stop_lock_waits(engine)

    def end_sessions(self, engine: Engine, is_to_end: Callable[[str], bool]) -> Sequence[str]:
        """By ``application_name`` and ``pg_terminate_backend``."""
        return connections.end_sessions(engine, is_to_end)

    def for_reading(self, engine: Engine) -> Engine:
        """Without BEGIN and COMMIT, two of the round trips of a short read."""
        return engine.execution_options(isolation_level="AUTOCOMMIT")

    def lock(self, connection: Connection, name: str) -> None:
        """An advisory lock."""
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})

    def try_lock(self, connection: Connection, name: str) -> bool:
        """An advisory lock."""
        return bool(connection.scalar(text("SELECT pg_try_advisory_xact_lock(hashtext(:name))"), {"name": name}))

    def commit_lazily(self, connection: Connection) -> None:
        """By ``synchronous_commit``."""
        connection.exec_driver_sql(COMMIT_LAZILY)

    def expect_many_rows(self, connection: Connection) -> None:
        """Hash and sort in memory rather than look up row by row."""
        for setting in MANY_ROWS:
            connection.exec_driver_sql(setting)

    def plan_freely(self, connection: Connection) -> None:
        """With every way of looking up that the server's settings have."""
        connection.exec_driver_sql("; ".join(f"SET LOCAL enable_{way} = DEFAULT" for way in (*WAYS, "nestloop")))

    def same_meaning(self, type: TypeEngine[Any], left: str, right: str) -> str | None:
        """The type json keeps the text that was written, and has no equality."""
        if not isinstance(type, JSON) or isinstance(type, postgresql.JSONB):
            return None
        return SAME_JSON.format(left, right)

    def insert(self, table: Table) -> Any:
        """PostgreSQL's own INSERT."""
        return postgresql.insert(table)

    def http_date(self, time: str) -> str:
        """By ``to_char``."""
        return f"""to_char({time} AT TIME ZONE 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS "GMT"')"""

    def concatenated(self, rows: str) -> str:
        """By an aggregate with an order of its own."""
        return f"SELECT key, string_agg(word, ',' ORDER BY place) AS words FROM ({rows}) AS rows GROUP BY key"

    def has_extension(self, connection: Connection, name: str) -> bool:
        """Whether its files are on the server."""
        known = text("SELECT count(*) FROM pg_available_extensions WHERE name = :name")
        return bool(connection.scalar(known, {"name": name}))

    def refusal(self, error: Exception) -> str:
        """The server's message with its detail."""
        diagnosis = error.diag if isinstance(error, psycopg.Error) else None
        parts = [diagnosis.message_primary, diagnosis.message_detail] if diagnosis else [str(error)]
        return ": ".join(" ".join(part.split()) for part in parts if part)

    def is_about_a_row(self, error: Exception) -> bool:
        """By SQLSTATE, and by what the server was at."""
        from batch_jobs.strategies.tables.databases.postgresql.errors import is_about_a_row

        return is_about_a_row(error)

    def unique_keys(self, connection: Connection, table: Table) -> list[UniqueKey]:
        """By the catalogue of indexes."""
        from batch_jobs.strategies.tables.databases.postgresql.keys import unique_keys

        return unique_keys(connection, self.quoted_table(table))

    def why_not_writable(self, connection: Connection, table: Table, mode: str) -> str | None:
        """By what kind of relation it is, and by the role's privileges."""
        from batch_jobs.strategies.tables.databases.postgresql.writable import why_not_writable

        return why_not_writable(connection, self.quoted_table(table), mode)

    def why_in_order(
        self,
        connection: Connection,
        table: Table,
        columns: Sequence[str],
        key: Sequence[str],
        apart: Collection[frozenset[str]] = (),
    ) -> str | None:
        """By its indexes, triggers and rules."""
        from batch_jobs.strategies.tables.databases.postgresql.row_order import why_in_order

        return why_in_order(connection, self.quoted_table(table), columns, key, apart)

    def distinguishes_by_text(self, column: Column[Any]) -> bool:
        """By the column's type."""
        from batch_jobs.strategies.tables.databases.postgresql.keys import distinguishes_by_text

        return distinguishes_by_text(column)

    def literal(self, value: object) -> str:
        """Of no type yet: the column beside it says which."""
        return super().literal(str(value).lower() if isinstance(value, bool) else value)

    def constant(self, value: object) -> str:
        r"""Bytes in hexadecimal after ``\x``."""
        return f"'\\x{value.hex()}'" if isinstance(value, bytes) else super().constant(value)

    def loader(self, destination: "Destination") -> "Loader":
        """Loads by COPY."""
        from batch_jobs.strategies.tables.databases.postgresql.loader import PostgresqlLoader

        return PostgresqlLoader(self, destination)

    def source(self, engine: Engine) -> "Source":
        """Reads by COPY."""
        from batch_jobs.strategies.tables.databases.postgresql.source import PostgresqlSource

        return PostgresqlSource(self, engine)

    def query_source(self, engine: Engine, access: "DataAccess") -> "Source":
        """The same, in sessions of their own that end with it."""
        from batch_jobs.strategies.tables.databases.postgresql.query import PostgresqlQuerySource

        return PostgresqlQuerySource(self, engine, access)

    def is_system_table(self, schema: str | None, table: str) -> bool:
        """By the schemas' names: those that begin with ``pg_`` are kept for the server."""
        return schema is not None and (schema.startswith("pg_") or schema == "information_schema")

    def schema_of(self, connection: Connection, table: Table) -> str | None:
        """The first one of the search path that has it, where it was found without a schema."""
        if table.schema is not None:
            return table.schema
        schema: str | None = connection.scalar(text(SCHEMA_OF), {"name": self.quoted(table.name)})
        return schema

    def replace_domains(self, connection: Connection, table: Table) -> None:
        """By the catalogue of types."""
        from batch_jobs.strategies.tables.databases.postgresql.domains import replace_domains

        replace_domains(connection, table, self.quoted_table(table))

    def interrupt(self, connection: Connection) -> None:
        """By a cancel request, for which psycopg opens a connection of its own."""
        driver = driver_of(connection)
        driver.cancel_safe(timeout=CANCEL_SECONDS)

    def lookup(self, connection: Connection) -> "Lookup":
        """Finds by arrays."""
        from batch_jobs.strategies.tables.databases.postgresql.source import PostgresqlLookup

        return PostgresqlLookup(connection)


def _engine(url: URL, name: str, **pool: float) -> Engine:
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(url, connect_args=connections.parameters(url, name), **pool)
    connections.watch_from_the_server(engine)
    _ping_after_a_pause(engine)
    return engine


def _ping_after_a_pause(engine: Engine) -> None:
    """Let a connection that was lost while nobody used it be replaced before its next use."""

    def note_use(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    def ping(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        used_at = record.info.get("used_at")
        if used_at is None or time.monotonic() - used_at < FRESH_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine, "checkin", note_use)
    event.listen(engine, "checkout", ping)
