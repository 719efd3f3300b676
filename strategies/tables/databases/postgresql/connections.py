"""Connections to PostgreSQL: known to be lost on both sides within seconds, named, and ended by their names."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from sqlalchemy import Engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ProgrammingError

from batch_jobs.strategies.sdk.sessions import NAME

#: A machine that lost its power or its cable is known to be gone after at most 25 s, here and by the server.
CLIENT_SIDE: Mapping[str, int] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
CHECK = "client_connection_check_interval"
#: The same for the server: since which version it has a setting. The last lets it look while it works on a statement.
SERVER_SIDE: Mapping[str, tuple[int, str]] = {
    "tcp_keepalives_idle": (0, "10"),
    "tcp_keepalives_interval": (0, "5"),
    "tcp_keepalives_count": (0, "3"),
    "tcp_user_timeout": (120_000, "25000"),
    CHECK: (140_000, "5000"),
}
#: The drivers that hand these parameters to libpq.
LIBPQ = ("psycopg", "psycopg2")
#: Where keepalives are answered by something in between, a transaction that nobody goes on with ends after an hour.
IDLE_SECONDS = 3600
IDLE = "idle_in_transaction_session_timeout"
#: What PostgreSQL and PgBouncer say when they have no connection left.
NONE_FREE = re.compile(
    r"too many connections|too many clients|remaining connection slots|no more connections allowed", re.IGNORECASE
)
#: What is wrong with how the connection is asked for, so that it is refused each time.
NEVER = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|\b(?:role|database|user) .* does not exist"
    r"|permission denied|not permitted to log in|invalid (?:port|connection|sslmode)|certificate",
    re.IGNORECASE,
)

SESSIONS = text(
    "SELECT pid, application_name, usename FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> ''"
)
STOP_LOCK_WAITS = text(
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND wait_event_type = 'Lock' AND application_name = current_setting('application_name')"
)
END = text("SELECT pg_terminate_backend(:pid)")


def parameters(url: URL, name: str) -> dict[str, Any]:
    """What the driver is given beside what the URL and the environment say.

    Args:
        url: the database's.
        name: what the sessions are called; that of an attempt is needed to find them, whatever the URL calls them.
    """
    if url.get_driver_name() not in LIBPQ:
        return {}
    said = {*url.query} | ({"connect_timeout"} if "PGCONNECT_TIMEOUT" in os.environ else set())
    given = {parameter: value for parameter, value in CLIENT_SIDE.items() if parameter not in said}
    return given if name == NAME and "application_name" in said else {**given, "application_name": name}


def watch_from_the_server(engine: Engine) -> None:
    """Let the server find out that this machine is gone, and give back what its transactions have locked."""

    def configure(connection: Any, _record: Any) -> None:
        version = _version(connection)
        known = {name: value for name, (since, value) in SERVER_SIDE.items() if version >= since}
        try:
            _set(connection, known)
        except psycopg.Error:  # a server of another system cannot look whether a client is gone
            _set(connection, {name: value for name, value in known.items() if name != CHECK})

    event.listen(engine, "connect", configure)


def end_idle_transactions(engine: Engine, seconds: int) -> None:
    """Let the server end transactions of this engine in which nothing is asked for so long."""

    def configure(connection: Any, _record: Any) -> None:
        _run_alone(connection, f"SET {IDLE} = '{seconds}s'")

    event.listen(engine, "connect", configure)


def stop_lock_waits(engine: Engine) -> None:
    """Stop the statements of sessions of this engine's name that wait for a lock."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(STOP_LOCK_WAITS)


def end_sessions(engine: Engine, is_to_end: Callable[[str], bool]) -> Sequence[str]:
    """End other sessions of this database, by their names.

    Returns:
        A line for each that this role may not end.
    """
    left = []
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for session in connection.execute(SESSIONS).all():
            if not is_to_end(session.application_name):
                continue
            try:
                connection.execute(END, {"pid": session.pid})
            except ProgrammingError:  # insufficient privilege
                left.append(
                    f"session {session.pid} of role {session.usename} ({session.application_name}) still has its locks"
                    f" and this role may not end it; run SELECT pg_terminate_backend({session.pid}) as that role"
                )
    return left


def _set(connection: Any, settings: Mapping[str, str]) -> None:
    calls = [f"set_config('{name}', '{value}', false)" for name, value in settings.items()]
    unset = f"CASE current_setting('{IDLE}') WHEN '0' THEN '{IDLE_SECONDS}s' ELSE current_setting('{IDLE}') END"
    _run_alone(connection, f"SELECT {', '.join(calls)}, set_config('{IDLE}', {unset}, false)")


def _version(connection: Any) -> int:
    if isinstance(connection, psycopg.Connection):
        return connection.info.server_version
    return int(getattr(connection, "server_version", 0))


def _run_alone(connection: Any, statement: str) -> None:
    """Run a statement on a new connection without a transaction around it."""
    was = connection.autocommit
    connection.autocommit = True
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        cursor.close()
    finally:
        connection.autocommit = was
