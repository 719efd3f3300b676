"""SQLAlchemy engines for the two databases that are supported, set up so that writers wait for each other."""

import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

SQLITE_BUSY_SECONDS = 60
#: Kept open once they were needed; one beyond would be opened and closed with each use, which costs more than the use.
CONNECTIONS = 12
#: A connection that was in use so lately is not asked again whether it lives: that is a round trip of its own.
FRESH_SECONDS = 1.0


def make_engine(url: str) -> Engine:
    """Return an engine for a SQLite or PostgreSQL URL; ``postgresql://`` is read as psycopg 3.

    A SQLite database is opened in WAL mode (readers never wait) and its folder is made.
    """
    parsed = make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        server = create_engine(parsed, pool_size=CONNECTIONS)
        _ping_after_a_pause(server)
        return server
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": SQLITE_BUSY_SECONDS})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def for_writing(connection: Connection) -> Connection:
    """Return the connection set to take SQLite's one write lock when its transaction begins.

    A transaction that reads first and writes later is refused at once by SQLite when another wrote in between,
    however long it may wait; taking the lock first makes it wait instead.
    """
    return connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")


def for_reading(engine: Engine) -> Engine:
    """Return the engine set for single statements that only read.

    PostgreSQL is not told the begin and the end of a transaction then, two of the round trips of a short read.
    """
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="AUTOCOMMIT")


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


def _configure_sqlite(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.isolation_level = None  # the driver's own BEGIN comes too late to choose its kind
    cursor = dbapi_connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))
