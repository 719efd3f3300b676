"""What an import would do to the shop: the changes of a group of rows, what to report of it, and who plans them."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, Table

from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError
from batch_jobs.strategies.tables.importing.plan import SampledChange

Indices = npt.NDArray[np.int64]
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
    #: Of these, those that the file takes away.
    prices_removed: int = 0

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

    ``updates`` have the row's id under ``row_id``; ``deletes`` have the columns that identify a row.
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


def _shown(value: object) -> str | None:
    return None if value is None else str(value)[:CELL_SHOWN]


@dataclass
class Checked:
    """A group converted.

    ``rows`` is what its kind makes of it; ``key_of`` is by row the number of its key.
    """

    group: pa.Table
    rows: Any
    errors: list[RowError]
    key_of: Indices

    @property
    def keys(self) -> int:
        """How many keys the group has."""
        return int(self.key_of[-1]) + 1 if len(self.key_of) else 0


@dataclass
class Planned:
    """What becomes of a group.

    ``refused`` is by row, whether it is refused, alone or with its key; ``unchanged`` is by key, whether the shop has
    it as it is in the file.
    """

    changes: Changes
    errors: list[RowError]
    refused: Mask
    unchanged: Mask


class Planner(Protocol):
    """Turns groups of rows into changes of the shop, for one phase of a job; may be asked by several threads."""

    #: Why a row without an error of its own is refused.
    with_its_key: str

    def check(self, group: pa.Table) -> Checked:
        """Convert a group; touches no database."""

    def plan(self, connection: Connection, checked: Checked) -> Planned:
        """Find what the group changes; reads only."""

    def units(self, keys: int, rows: int) -> int:
        """How much a job goes through with that many keys and rows."""

    def tally_unchanged(self, keys: int, rows: int) -> Tally:
        """The tally of that many unchanged keys and rows."""


def bad_keys(errors: list[RowError], checked: Checked) -> Mask:
    """By key, whether one of its rows has an error."""
    bad = np.zeros(checked.keys, dtype=bool)
    bad[checked.key_of[[error.row for error in errors]]] = True
    return bad
