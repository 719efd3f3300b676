"""Creating a table with its first row, so that none is left behind where no row came in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Table
from sqlalchemy.schema import DropTable

from batch_jobs.strategies.tables.importing.plan import create


@dataclass
class Done:
    """How many rows a chunk brought in."""

    rows: int = 0


class Creation:
    """A table that is still to be created, or ``None``."""

    def __init__(self, table: Table | None) -> None:
        self._table = table

    @contextmanager
    def by_first_row(self, connection: Connection, has_rows: bool) -> Iterator[Done]:
        """Have the table there while a chunk is written, and keep it if a row came in.

        Args:
            connection: of the chunk's transaction, with which the table comes and goes.
            has_rows: whether the chunk has a row to write.
        """
        done = Done()
        table, self._table = (self._table, None) if has_rows else (None, self._table)
        if table is not None:
            create(connection, table)
        yield done
        if table is not None and not done.rows:
            connection.execute(DropTable(table))
            self._table = table
