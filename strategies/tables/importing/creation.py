"""Creating a table with its first row, so that none is left behind where no row came in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Table, inspect
from sqlalchemy.schema import DropTable

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.tables.importing.plan import create


@dataclass
class Done:
    """How many rows a chunk brought in."""

    rows: int = 0


class Creation:
    """A table that is still to be created, or ``None``; ``by_any`` if another partition of the job may be first."""

    def __init__(self, table: Table | None, by_any: bool = False) -> None:
        self._table, self._by_any = table, by_any

    @contextmanager
    def by_first_row(self, connection: Connection, has_rows: bool) -> Iterator[Done]:
        """Have the table there while a chunk is written, and keep it if a row came in.

        Args:
            connection: of the chunk's transaction, with which the table comes and goes.
            has_rows: whether the chunk has a row to write.
        """
        done = Done()
        table, self._table = (self._table, None) if has_rows else (None, self._table)
        if table is not None and self._by_any and _is_created_elsewhere(connection, table):
            table = None
        if table is not None:
            create(connection, table)
        yield done
        if table is not None and not done.rows:
            connection.execute(DropTable(table))
            self._table = table


def _is_created_elsewhere(connection: Connection, table: Table) -> bool:
    """Whether another partition has created the table; one that is about to is waited for."""
    database_of(connection).lock(connection, f"create {table.fullname}")
    return inspect(connection).has_table(table.name, schema=table.schema)
