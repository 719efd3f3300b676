"""What an import would do to the shop: the changes of a group of rows, what to report of it, and who plans them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection, Table

from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError
from batch_jobs.strategies.tables.changes.blocks import GROUP, LINE
from batch_jobs.strategies.tables.importing.plan import SampledChange, SampledReject

Indices = npt.NDArray[np.int64]
#: The columns of rows to write that say where they are from.
ORIGIN = (GROUP, LINE)
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
    #: Live variants of the file's products that the file does not have.
    variants_left_alone: int = 0
    #: Cells that are not heeded, because another row's counts.
    cells_not_taken: int = 0
    #: Categories of another shop that this one does not have, product by product.
    categories_unknown: int = 0
    #: Prices that the variants of a file have in its price list so far.
    prices_met: int = 0
    prices_added: int = 0
    prices_changed: int = 0
    prices_removed: int = 0
    images_added: int = 0
    images_removed: int = 0
    tags_added: int = 0
    tags_removed: int = 0
    channels_added: int = 0
    channels_removed: int = 0
    categories_added: int = 0
    categories_removed: int = 0
    types_made: int = 0
    tags_made: int = 0
    collections_made: int = 0
    #: By column of the file and what happens to it (changed, emptied, added, removed): how often.
    by_column: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Count another's too."""
        for name, number in vars(other).items():
            setattr(self, name, getattr(self, name) + number)

    def count(self, name: str, number: int) -> None:
        """Count some more of a kind."""
        setattr(self, name, getattr(self, name) + number)

    def count_column(self, column: str, **what: int) -> None:
        """Count what happens to a column."""
        for kind, number in what.items():
            if number:
                self.by_column[column, kind] += number

    def as_json(self) -> dict[str, Any]:
        """The counts, and ``by_column`` as column -> what happens -> how often."""
        counts = {name: number for name, number in vars(self).items() if name != "by_column"}
        columns: dict[str, dict[str, int]] = {}
        for (column, kind), number in self.by_column.items():
            columns.setdefault(column, {})[kind] = number
        return {"counts": counts, "by_column": columns}

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


@dataclass(frozen=True)
class Origin:
    """By row, what an undo takes it back together with, such as its product, and the line of the input it is from."""

    groups: pa.Array
    lines: pa.Array

    def take(self, at: pa.Array) -> "Origin":
        """Those of some rows."""
        return Origin(self.groups.take(at), self.lines.take(at))

    def filter(self, mask: pa.Array) -> "Origin":
        """Those of the rows that a mask has."""
        return Origin(self.groups.filter(mask), self.lines.filter(mask))


@dataclass
class Changes:
    """Changes of one group, in the order in which the database must see them: common, deletes, makes, updates, inserts.

    ``common`` are rows with ids that other partitions may insert too; ``makes`` are inserts of what changed rows may
    refer to; ``updates`` have the row's id under ``row_id``; ``deletes`` have the columns that identify a row. Rows
    have their ``Origin`` in the columns ``ORIGIN``, where there is one.
    """

    common: list[tuple[Table, list[dict[str, Any]]]] = field(default_factory=list)
    makes: list[tuple[Table, pa.Table]] = field(default_factory=list)
    inserts: list[tuple[Table, pa.Table]] = field(default_factory=list)
    updates: list[tuple[Table, pa.Table]] = field(default_factory=list)
    deletes: list[tuple[Table, pa.Table]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    sample: list[SampledChange] = field(default_factory=list)
    not_taken: list[SampledReject] = field(default_factory=list)

    def make(self, table: Table, rows: pa.Table) -> None:
        """Insert rows that others may refer to, if there are any."""
        if rows.num_rows:
            self.makes.append((table, rows))

    def make_in_common(self, table: Table, rows: pa.Table) -> None:
        """Insert rows that other partitions may insert too, if there are any; all come to them in the same order."""
        if rows.num_rows:
            self.common.append((table, rows.sort_by("id").to_pylist()))
            self.common.sort(key=lambda made: made[0].name)

    def insert(self, table: Table, rows: pa.Table, origin: Origin | None = None) -> None:
        """Insert rows, if there are any."""
        _add(self.inserts, table, rows, origin)

    def update(self, table: Table, rows: pa.Table, origin: Origin) -> None:
        """Update rows, if there are any."""
        _add(self.updates, table, rows, origin)

    def delete(self, table: Table, rows: pa.Table, origin: Origin) -> None:
        """Delete rows, if there are any."""
        _add(self.deletes, table, rows, origin)

    def leave_out(self, line: int, column: str, message: str) -> None:
        """Count a cell that is not heeded, and keep the first ones."""
        self.tally.cells_not_taken += 1
        self._keep(line, column, message)

    def leave_out_category(self, line: int, column: str, message: str) -> None:
        """Count a category that the shop does not have, and keep the first ones."""
        self.tally.categories_unknown += 1
        self._keep(line, column, message)

    def _keep(self, line: int, column: str, message: str) -> None:
        if len(self.not_taken) < SAMPLE_SIZE:
            self.not_taken.append(SampledReject(line=line, column=column, message=message))

    def show(self, line: int, key: dict[str, str], column: str, before: str | None, after: str | None) -> None:
        """Add a changed field to the sample, while it is small."""
        if len(self.sample) < SAMPLE_SIZE:
            self.sample.append(
                SampledChange(line=line, key=key, column=column, before=_shown(before), after=_shown(after))
            )


def without_origin(rows: pa.Table) -> pa.Table:
    """The rows as they are written."""
    return rows.drop_columns([name for name in ORIGIN if name in rows.column_names])


def origin_of(rows: pa.Table) -> pa.Table:
    """The columns that say where rows are from; none where nothing does."""
    return rows.select([name for name in ORIGIN if name in rows.column_names])


def _add(to: list[tuple[Table, pa.Table]], table: Table, rows: pa.Table, origin: Origin | None) -> None:
    if rows.num_rows and origin is not None:
        rows = rows.append_column(GROUP, origin.groups).append_column(LINE, origin.lines)
    if rows.num_rows:
        to.append((table, rows))


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
