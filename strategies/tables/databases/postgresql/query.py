"""A query that somebody wrote, in PostgreSQL: what it names is looked at, and it runs in a session of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine

from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.database import Database, driver_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.databases.postgresql.query_check import QueryCheck, refuse_role
from batch_jobs.strategies.tables.databases.postgresql.source import PostgresqlSource
from batch_jobs.strategies.tables.selecting import Parameters, SelectedColumn
from batch_jobs.strategies.tables.stopping import QueryTooLong


class PostgresqlQuerySource(PostgresqlSource):
    """Rows of a query. Its sessions are closed without a commit, so that nothing a query does outlives it."""

    def __init__(self, database: Database, engine: Engine, access: DataAccess) -> None:
        super().__init__(database, engine)
        self._access = access

    def query_columns(self, connection: Connection, query: str, parameters: Parameters = None) -> list[SelectedColumn]:
        """The query's columns, unless it names what it may not."""
        with self._session({}) as checking:
            QueryCheck(self._database, driver_of(checking), self._access).check(query)
        return super().query_columns(connection, query, parameters)

    @contextmanager
    def _transaction(self, _snapshot: str | None, *settings: str) -> Iterator[Connection]:
        with self._session({"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}) as connection:
            for setting in settings:
                driver_of(connection).execute(setting)
            yield connection

    @contextmanager
    def _session(self, options: dict[str, Any]) -> Iterator[Connection]:
        with self._engine.connect().execution_options(**options) as connection:
            try:
                connection.begin()
                self._prepare(driver_of(connection))
                yield connection
            except psycopg.errors.QueryCanceled as error:
                raise QueryTooLong(self._access.query_seconds) from error
            finally:
                connection.invalidate()  # which closes the session, and so ends its transaction, locks and settings

    def _prepare(self, driver: Any) -> None:
        milliseconds = max(1, int(self._access.query_seconds * 1000))
        driver.execute("SET LOCAL standard_conforming_strings = on")
        driver.execute(f"SET LOCAL statement_timeout = {milliseconds}")
        if self._access.query_role:
            _become(driver, self._database.quoted(self._access.query_role), self._access.query_role)
        if self._access.by_key:
            refuse_role(driver)


def _become(driver: Any, quoted: str, role: str) -> None:
    try:
        driver.execute(f"SET LOCAL ROLE {quoted}")
    except psycopg.Error as error:
        raise JobRefused(
            f"BATCH_JOBS_QUERY_AS names {role}, and the target says: {error.diag.message_primary}; "
            f"make that role, and GRANT it to the one of BATCH_JOBS_TARGET_URL"
        ) from error
