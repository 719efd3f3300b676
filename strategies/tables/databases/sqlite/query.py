"""A query that somebody wrote, in SQLite: an authorizer looks at what each statement reads and calls."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine

from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.database import STAND_IN, Database, driver_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.databases.sqlite.asking import QueryProcess
from batch_jobs.strategies.tables.databases.sqlite.source import SqliteSource
from batch_jobs.strategies.tables.selecting import Parameters, SelectedColumn

#: Functions that load code into this process.
LOADING = ("load_extension", "fts3_tokenizer")
#: Tables made of a function's argument.
OF_ARGUMENTS = ("json_each", "json_tree")
CATALOGUE = "sqlite_master"
#: What one function call can make or compare: bytes of a value, and of the pattern of a LIKE.
LIMITS = {sqlite3.SQLITE_LIMIT_LENGTH: 64 << 20, sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200}


class SqliteQuerySource(SqliteSource):
    """Rows of a query in one read transaction, whose statements can do no more than read tables that are allowed.

    Tables that a view reads have to be allowed too, as SQLite does not say which are a view's.
    """

    def __init__(self, database: Database, engine: Engine, access: DataAccess) -> None:
        super().__init__(database, engine)
        self._access = access
        self._refused: str | None = None
        self._tables: set[str] = set()

    @contextmanager
    def reading(self, snapshot: str | None = None) -> Iterator[Connection]:
        """A transaction in which only SELECT is authorized."""
        with super().reading() as connection:
            names = driver_of(connection).execute(f"SELECT name FROM {CATALOGUE}").fetchall()
            self._tables = {name.casefold() for (name,) in names}
            seconds = self._access.query_seconds
            with QueryProcess(self._engine, self._authorize, self._limits, seconds) as process:
                connection.info[STAND_IN] = process
                try:
                    yield connection
                except sqlite3.DatabaseError as error:
                    if self._refused:
                        raise JobRefused(self._refused) from error
                    raise
                finally:
                    del connection.info[STAND_IN]

    def query_columns(self, connection: Connection, query: str, parameters: Parameters = None) -> list[SelectedColumn]:
        """The query's columns, unless it asks for what it may not."""
        self._refused = None
        try:
            return super().query_columns(connection, query, parameters)
        except JobRefused:
            if self._refused:
                raise JobRefused(self._refused) from None
            raise

    @property
    def _limits(self) -> dict[int, int]:
        return LIMITS if self._access.by_key else {}

    def _authorize(self, action: int, subject: str | None, detail: str | None, *_: Any) -> int:
        # https://sqlite.org/c3ref/c_alter_table.html has which arguments an action comes with
        if self._is_harmless(action, subject, detail):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and subject is not None:
            refused = self._refusal(subject, detail)
        elif action == sqlite3.SQLITE_FUNCTION:
            refused = f"the query calls {detail}, which loads code" if detail in LOADING else None
        else:
            refused = "the query does something else than to read tables; make it one SELECT"
        self._refused = self._refused or refused
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK

    def _refusal(self, table: str, column: str | None) -> str | None:
        # where no column is read, as by count(*), a name may be one that the query gave
        is_named_here = not column and table.casefold() not in self._tables
        access = DataAccess() if is_named_here else self._access
        return access.refusal(self._database, None, table, None)

    def _is_harmless(self, action: int, subject: str | None, detail: str | None) -> bool:
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return True
        if action == sqlite3.SQLITE_READ:
            return subject in OF_ARGUMENTS or (subject, detail) == (CATALOGUE, "ROWID")
        # a table of a module is declared when it is first met, as if it were created; nothing is written for that
        is_declaration = action == sqlite3.SQLITE_UPDATE and subject == CATALOGUE
        return is_declaration or (action == sqlite3.SQLITE_PRAGMA and subject == "data_version")
