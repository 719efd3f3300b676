"""SQLAlchemy engines for the two databases that are supported, set up so that writers wait for each other."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url

SQLITE_BUSY_SECONDS = 60


def make_engine(url: str) -> Engine:
    """Return an engine for a SQLite or PostgreSQL URL; ``postgresql://`` is read as psycopg 3.

    A SQLite database is opened in WAL mode (readers never wait) and its folder is made.
    """
    parsed = make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
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


def _configure_sqlite(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.isolation_level = None  # the driver's own BEGIN comes too late to choose its kind
    cursor = dbapi_connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))
