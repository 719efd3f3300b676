"""Reading rows for an export: one source for each database, found by the name of its SQLAlchemy dialect."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

import pyarrow as pa
from sqlalchemy import Connection, Engine

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.selecting import SelectedColumn, Selection

#: Rows and bytes after which an export tells how far it is; whichever comes first bounds what is held in memory.
BLOCK_ROWS = 10_000
BLOCK_BYTES = 1 << 20


class Source(Protocol):
    """Reads from one kind of database, in a transaction that sees one state of it and cannot write."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A read-only transaction."""

    def beside(self, connection: Connection) -> AbstractContextManager[list[Connection]]:
        """Further connections that see what this one of ``reading`` sees; none where the database has no such."""

    def query_columns(self, connection: Connection, query: str) -> list[SelectedColumn]:
        """The columns of a query.

        Raises:
            JobRefused: the database does not accept the query.
        """

    def batches(self, connection: Connection, selection: Selection) -> Iterator[pa.Table]:
        """The rows, every cell as text (null where there is none)."""

    def copy_csv(
        self, connection: Connection, selection: Selection, delimiter: str, neutralise: bool, stream: BinaryIO
    ) -> Iterator[int]:
        """Write the rows as CSV, without a header; yields the number of rows now and then."""


def source_for(engine: Engine) -> Source:
    """The source for this database.

    Raises:
        JobRefused: there is none.
    """
    # each module needs its driver only when its database is used
    if engine.dialect.name == "postgresql":
        from batch_jobs.strategies.tables.databases.postgresql import PostgresqlSource

        return PostgresqlSource(engine)
    if engine.dialect.name == "sqlite":
        from batch_jobs.strategies.tables.databases.sqlite import SqliteSource

        return SqliteSource(engine)
    raise JobRefused(f"rows can be exported from postgresql and sqlite; the target is {engine.dialect.name}")
