"""What an import would do to the shop: rows to insert, update and delete, and what to tell of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Table, bindparam, func, update
from sqlalchemy.exc import DBAPIError

from batch_jobs.strategies.sdk.database import Database, database_of
from batch_jobs.strategies.tables.databases.loading import Destination, Loader
from batch_jobs.strategies.tables.importing.plan import SampledChange
from batch_jobs.strategies.tables.prefetch import prefetched

SAMPLE_SIZE = 20
CELL_SHOWN = 200  # characters of a value in the sample


@dataclass
class Tally:
    """Products and variants by what becomes of them; rejected ones are rows of the file."""

    products_created: int = 0
    products_updated: int = 0
    products_unchanged: int = 0
    variants_created: int = 0
    variants_updated: int = 0
    variants_unchanged: int = 0
    rows_rejected: int = 0
    #: Prices that the variants of a file have in its price list so far.
    prices_met: int = 0

    def add(self, other: "Tally") -> None:
        """Count another's too."""
        for name, number in vars(other).items():
            setattr(self, name, getattr(self, name) + number)

    @property
    def created(self) -> int:
        """Products and variants."""
        return self.products_created + self.variants_created

    @property
    def updated(self) -> int:
        """Products and variants."""
        return self.products_updated + self.variants_updated

    @property
    def unchanged(self) -> int:
        """Products and variants."""
        return self.products_unchanged + self.variants_unchanged


@dataclass
class Changes:
    """Changes of one group, in the order in which the database must see them: deletes, updates, inserts.

    ``updates`` have the row's id under ``row_id``; ``deletes`` have the columns that tell a row.
    """

    inserts: list[tuple[Table, pa.Table]] = field(default_factory=list)
    updates: list[tuple[Table, list[dict[str, Any]]]] = field(default_factory=list)
    deletes: list[tuple[Table, list[dict[str, Any]]]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    sample: list[SampledChange] = field(default_factory=list)

    def insert(self, table: Table, rows: pa.Table) -> None:
        """Insert rows, if there are any."""
        if rows.num_rows:
            self.inserts.append((table, rows))

    def update(self, table: Table, rows: list[dict[str, Any]]) -> None:
        """Update rows, if there are any."""
        if rows:
            self.updates.append((table, rows))

    def delete(self, table: Table, rows: list[dict[str, Any]]) -> None:
        """Delete rows, if there are any."""
        if rows:
            self.deletes.append((table, rows))

    def show(self, line: int, key: dict[str, str], column: str, before: str | None, after: str | None) -> None:
        """Add a changed field to the sample, while it is small."""
        if len(self.sample) < SAMPLE_SIZE:
            self.sample.append(
                SampledChange(line=line, key=key, column=column, before=_shown(before), after=_shown(after))
            )


def apply_changes(connection: Connection, changes: Changes) -> None:
    """Write changes in the connection's transaction; raises what the driver raises where a row is refused."""
    try:
        for table, rows in changes.deletes:
            _delete(connection, table, rows)
        for table, rows in changes.updates:
            _update(connection, table, rows)
    except DBAPIError as error:
        raise error.orig or error from None
    with prefetched(_encoded(database_of(connection), changes.inserts)) as inserts:
        for loader, payload in inserts:
            loader.write(connection, payload)


def _delete(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    condition = [table.c[name] == bindparam(f"of_{name}") for name in rows[0]]
    renamed = [{f"of_{name}": value for name, value in row.items()} for row in rows]
    connection.execute(table.delete().where(*condition), renamed)


def _update(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    names = [name for name in rows[0] if name != "row_id"]
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    statement = update(table).where(table.c.id == bindparam("row_id")).values(**values, updated_at=func.now())
    renamed = [{"row_id": row["row_id"], **{f"new_{name}": row[name] for name in names}} for row in rows]
    connection.execute(statement, renamed)


def _encoded(database: Database, inserts: list[tuple[Table, pa.Table]]) -> Iterator[tuple[Loader, Any]]:
    for table, rows in inserts:
        loader = database.loader(Destination(table, rows.column_names, [], "append"))
        yield loader, loader.encode(rows)


def _shown(value: object) -> str | None:
    return None if value is None else str(value)[:CELL_SHOWN]
