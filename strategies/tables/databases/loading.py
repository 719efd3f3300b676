"""Putting rows into a table: what the loaders of all databases have in common."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
from sqlalchemy import JSON, Column, Connection, Table
from sqlalchemy.types import NullType

from batch_jobs.strategies.sdk.database import Database

#: The temporary table of a connection in which rows wait to be compared or put into the target.
STAGE = "batch_job_stage"
#: Its column with the row's index among the rows staged.
ROW = "batch_job_row"


@dataclass(frozen=True)
class Destination:
    """Where rows go: the table, the columns that the file has for it, the key, and what a known key means.

    ``key`` is empty in mode ``append``.
    """

    table: Table
    columns: list[str]
    key: list[str]
    mode: str

    @property
    def others(self) -> list[str]:
        """The columns that are not the key."""
        return [name for name in self.columns if name not in self.key]

    def column(self, name: str) -> Column[Any]:
        """The table's column of this name."""
        return self.table.columns[name]


@dataclass
class Written:
    """What became of the rows written: counts, and the indices of rows refused because their key is in the table."""

    created: int = 0
    updated: int = 0
    known: list[int] = field(default_factory=list)


class Loader(Protocol):
    """Writes Arrow tables, whose columns are the destination's, in one kind of database."""

    def encode(self, rows: pa.Table) -> Any:
        """The rows as ``write`` wants them; touches no database, so that another thread may do it."""

    def begin(self, connection: Connection, last: bool) -> None:
        """Make a transaction ready for ``write`` and ``stage``; ``last`` when no other follows."""

    def write(self, connection: Connection, payload: Any) -> Written:
        """Write rows in the connection's transaction; raises one of ``row_errors`` when a row is refused."""

    def stage(self, connection: Connection, rows: pa.Table) -> None:
        """Replace what is in the stage by these rows, numbered in the column ``ROW``; leaves the target alone."""


def upsert_clause(database: Database, destination: Destination) -> str:
    """What to do with a row whose key is there: nothing, or an update where it differs."""
    quoted = database.quoted
    target = f"ON CONFLICT ({database.names(destination.key)}) DO"
    if destination.mode != "upsert" or not destination.others:
        return f"{target} NOTHING"
    table = database.quoted_table(destination.table)
    sets = ", ".join(f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in destination.others)
    changes = " OR ".join(difference(database, destination, name, table, "EXCLUDED") for name in destination.others)
    return f"{target} UPDATE SET {sets} WHERE {changes}"


def difference(database: Database, destination: Destination, name: str, left: str, right: str) -> str:
    """The SQL condition that a column differs between two tables."""
    column = destination.column(name).type
    # json and types that SQLAlchemy does not know may have no equality; their text has one
    as_text = isinstance(column, NullType) or (isinstance(column, JSON) and column.__visit_name__ != "JSONB")
    cells = (f"{side}.{database.quoted(name)}" for side in (left, right))
    before, after = (f"CAST({cell} AS TEXT)" if as_text else cell for cell in cells)
    differs = f"{before} {database.differs} {after}"
    same = database.same_meaning(column, before, after)
    return f"({differs} AND NOT {same})" if same else differs
