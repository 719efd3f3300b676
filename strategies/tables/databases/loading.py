"""Putting rows into a table: what the loaders of all databases have in common."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Column, Connection, Table

from batch_jobs.strategies.sdk.change_log import Kind

#: The temporary table of a connection in which rows wait to be compared or put into the target.
STAGE = "batch_job_stage"
#: The one in which all keys of a file are, for the database to compare them.
KEYS = "batch_job_keys"
#: Their column with the row's index among the rows staged, or with its line in the file.
ROW = "batch_job_row"
#: What says in a column's ``info`` that it is of a domain; its type is the one that the domain is over.
IS_DOMAIN = "batch_jobs_is_domain"
#: Modes that change a row whose key is there.
UPDATING = ("upsert", "update", "sync")


@dataclass(frozen=True)
class Destination:
    """Where rows go: the table, the columns that the file has for it, the key, and what a known key means.

    ``key`` is empty in mode ``append``. ``collations`` are those of key columns whose unique index takes texts for
    equal that are not the same. ``resets`` says that what a row does not have is set to its default in a known row;
    otherwise it is left as it is.
    """

    table: Table
    columns: list[str]
    key: list[str]
    mode: str
    collations: Mapping[str, str] = field(default_factory=dict)
    resets: bool = False
    #: Columns that known rows get their default in, and the SQL of that.
    defaults: Mapping[str, str] = field(default_factory=dict)
    #: The columns by which the change log names rows; empty where changes are not kept.
    logged_by: tuple[str, ...] = ()

    @property
    def others(self) -> list[str]:
        """The columns that a known row may get anew: not the key, nor what the database alone gives out."""
        kept = {*self.key, *self.given_out}
        return [name for name in self.columns if name not in kept]

    @property
    def given_out(self) -> list[str]:
        """The columns beside the key that a known row keeps, because the database alone gives them out."""
        identities = {name: self.column(name).identity for name in self.columns if self.key and name not in self.key}
        return [name for name, identity in identities.items() if identity is not None and identity.always]

    @property
    def needs(self) -> list[str]:
        """Columns without which no row can be new, and which the file does not have."""
        return [column.name for column in self.table.columns if column.name not in self.columns and is_required(column)]

    @property
    def creates(self) -> bool:
        """Whether a row with a new key can go in."""
        return self.mode != "update" and not self.needs

    @property
    def unsaid(self) -> list[str]:
        """The columns of a new row whose values the database makes, and somebody may change later."""
        return [
            column.name for column in self.table.columns if column.name not in self.columns and column.computed is None
        ]

    def column(self, name: str) -> Column[Any]:
        """The table's column of this name."""
        return self.table.columns[name]

    def only(self, columns: Sequence[str]) -> "Destination":
        """The same for rows that have but these columns."""
        lacking = [name for name in self.columns if name not in columns and name not in self.given_out]
        defaults = {name: _default(self.column(name)) for name in lacking} if self.resets else {}
        known = {name: default for name, default in defaults.items() if default is not None}
        return replace(self, columns=list(columns), defaults=known)


def _default(column: Column[Any]) -> str | None:
    """The SQL of a column's default; ``None`` where it is a number that is given out once only."""
    if column.server_default is None:
        return "NULL" if column.identity is None else None
    default = str(getattr(column.server_default, "arg", ""))
    return None if not default or "nextval(" in default else f"({default})"


def refers_to_itself(table: Table) -> bool:
    """Whether a row may need another one of the same table, such as its parent."""
    return any(key.target_fullname.rpartition(".")[0] == table.fullname for key in table.foreign_keys)


def is_required(column: Column[Any]) -> bool:
    """Whether a row cannot be inserted without a value for this column."""
    filled = column.server_default is not None or column.identity is not None or column.computed is not None
    return not column.nullable and not filled and not _counts_up(column)


def _counts_up(column: Column[Any]) -> bool:
    # SQLite gives a lone INTEGER PRIMARY KEY its value though it says no default
    table = column.table
    return (
        column.primary_key
        and len(table.primary_key) == 1
        and str(column.type).upper() == "INTEGER"
        and column.autoincrement is not False
    )


@dataclass(frozen=True)
class RowChanges:
    """What was done to some of the rows written.

    ``rows`` are their indices; ``values`` has for each of them what a column was before (``-name``) and is now
    (``+name``), ``None`` where a row was created that has what was written and nothing else.
    """

    kind: Kind
    rows: npt.NDArray[np.int64]
    values: pa.Table | None = None

    @classmethod
    def numbered(cls, kind: Kind, rows: pa.Table) -> "RowChanges":
        """The same of rows that have their index in the column ``ROW``."""
        return cls(kind, rows.column(ROW).to_numpy().astype(np.int64), rows.drop_columns([ROW]))


@dataclass
class Written:
    """What became of the rows written: counts, and the indices of rows refused.

    ``known`` are those whose key is in the table and should not, ``unknown`` those whose key should be and is not.
    ``changes`` are for the log, where the destination has one.
    """

    created: int = 0
    updated: int = 0
    known: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    changes: list[RowChanges] = field(default_factory=list)

    def add(self, more: "Written") -> None:
        """Add what became of further of the rows."""
        self.created += more.created
        self.updated += more.updated
        self.changes += more.changes


def created(rows: int) -> RowChanges:
    """All rows written are new."""
    return RowChanges("created", np.arange(rows))


class Loader(Protocol):
    """Writes Arrow tables in one kind of database; their columns are the destination's, or some of them.

    A column that rows do not have is left as it is, and gets its default in a new row.
    """

    def encode(self, rows: pa.Table) -> Any:
        """The rows as ``write`` wants them; touches no database, so that another thread may do it."""

    def begin(self, connection: Connection, last: bool) -> None:
        """Make a transaction ready for ``write`` and ``stage``; ``last`` when no other follows."""

    def write(self, connection: Connection, payload: Any) -> Written:
        """Write rows in the connection's transaction; raises what the database says of a row that it refuses.

        Without ``begin`` before it, only rows that are surely new can be written.
        """

    def note_numbers(self, connection: Connection, rows: pa.Table) -> None:
        """Have numbers that the database gives out itself go on after those that these rows brought along."""

    def stage(self, connection: Connection, rows: pa.Table) -> None:
        """Replace what is in the stage by these rows, numbered in the column ``ROW``; leaves the target alone."""

    def make_keys(self, connection: Connection) -> None:
        """Make the table ``KEYS`` of the key's columns and ``ROW``, empty."""

    def add_keys(self, connection: Connection, rows: pa.Table) -> None:
        """Put rows of the key's columns and ``ROW`` into ``KEYS``."""

    def settle_keys(self, connection: Connection) -> None:
        """Make ``KEYS`` fast to look into; nothing is added any more."""

    def fetch(self, connection: Connection, query: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, a few at a time."""

    def stored(self, connection: Connection, keys: pa.Table, mark: str) -> pa.Table:
        """The rows with these keys as the change log has them, locked until the transaction ends.

        Args:
            connection: on which ``begin`` was called.
            keys: the columns of the key.
            mark: before the names of the other columns.

        Returns:
            The index of the key (``ROW``), the key (``=name``), and the columns that can be written.
        """

    def remove(self, connection: Connection, keys: list[tuple[Any, ...]], removal: "Removal") -> "Removed":
        """Remove the rows with these keys, given as ``Database.carried`` has them."""

    def differing(self, connection: Connection, columns: Sequence[str]) -> pa.Table:
        """The staged rows, which have these columns, that are there and differ: in their order and nothing written.

        Returns:
            The number of each (``ROW``), and of a column that differs what it is (``-name``) and would be (``+name``).
        """

    def removable(self, connection: Connection, keys: list[tuple[Any, ...]], removal: "Removal") -> pa.Table:
        """What ``remove`` would have as values; replaces what is in the stage."""


@dataclass(frozen=True)
class Removed:
    """How many rows there were, and for the log, where there is one, which: the key (``=name``) and each column."""

    count: int
    values: pa.Table | None = None


@dataclass(frozen=True)
class Removal:
    """How rows are removed: the SQL condition on ``target`` that they still meet, and what marks them, if anything.

    ``marks`` are columns and the SQL of what they get.
    """

    condition: str
    marks: Mapping[str, str] = field(default_factory=dict)
