"""What would become of rows, found by comparing them with the target inside the database; the target is only read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.database import Database, driver_of
from batch_jobs.strategies.tables.databases.loading import ROW, Destination, Loader
from batch_jobs.strategies.tables.databases.statements import Statements, new_values
from batch_jobs.strategies.tables.importing.bisect import RefusedRow, bisect
from batch_jobs.strategies.tables.importing.plan import ColumnChanges

SAMPLE_SIZE = 20
CELL_SHOWN = 200  # characters of a value in the sample


@dataclass(frozen=True)
class Change:
    """One field that would change; ``row`` is the index among the rows compared."""

    row: int
    key: dict[str, str]
    column: str
    before: str | None
    after: str | None


@dataclass
class Compared:
    """The outcome: rows changed and unchanged are those whose key is there.

    ``known`` and ``unknown`` are the indices of rows to refuse, because their key is there or is not.
    """

    changed: int = 0
    unchanged: int = 0
    known: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    columns: dict[str, ColumnChanges] = field(default_factory=dict)


class Comparison:
    """Compares rows with those of the target that have the same key."""

    def __init__(self, database: Database, destination: Destination, loader: Loader) -> None:
        self._database = database
        self._destination = destination
        self._loader = loader
        self._sql = _Statements(database, destination)

    def compare(self, connection: Connection, rows: pa.Table, sample: int) -> Compared:
        """Compare rows; show up to ``sample`` changed fields."""
        found = Compared()
        self._loader.begin(connection, last=False)
        parts, found.refused = bisect(connection, rows, lambda part: self._part(connection, part, sample))
        for part in parts:
            outcome = part.outcome
            found.changed += outcome.changed
            found.unchanged += outcome.unchanged
            found.known += [part.start + index for index in outcome.known]
            found.unknown += [part.start + index for index in outcome.unknown]
            found.changes += [replace(change, row=part.start + change.row) for change in outcome.changes]
            add_changes(found.columns, outcome.columns)
        return found

    def _part(self, connection: Connection, rows: pa.Table, sample: int) -> Compared:
        self._loader.stage(connection, rows)
        driver = driver_of(connection)
        if self._destination.mode == "insert":
            return Compared(known=[row for (row,) in driver.execute(self._sql.known)])
        known, changed = driver.execute(self._sql.counts).fetchone()
        found = Compared(changed or 0, known - (changed or 0))
        if not self._destination.creates:
            found.unknown = [row for (row,) in driver.execute(self._sql.unknown)]
        if changed:
            found.columns = self._by_column(driver.execute(self._sql.by_column).fetchone())
        if changed and sample:
            found.changes = self._changes(self._loader.fetch(connection, self._sql.first_changed))[:sample]
        return found

    def _by_column(self, sums: Sequence[int]) -> dict[str, ColumnChanges]:
        pairs = zip(self._sql.differences, sums[0::2], sums[1::2], strict=True)
        return {name: ColumnChanges(changed=changed, emptied=emptied) for name, changed, emptied in pairs if changed}

    def _changes(self, found: Iterable[tuple[Any, ...]]) -> list[Change]:
        key, others = self._destination.key, list(self._sql.differences)
        changes: list[Change] = []
        for row in found:
            names = dict(zip(key, map(str, row[1 : 1 + len(key)]), strict=True))
            fields = row[1 + len(key) :]
            for name, before, after, differs in zip(others, fields[0::3], fields[1::3], fields[2::3], strict=True):
                if differs:
                    changes.append(Change(row[0], names, name, _shown(before), _shown(after)))
        return changes


class _Statements(Statements):
    """Values are fetched as their texts: Python has no day after the year 9999, and no infinity of days."""

    @cached_property
    def _after(self) -> dict[str, str]:
        return new_values(self.database, self.destination, "stage")

    @cached_property
    def by_column(self) -> str:
        """How many rows differ in each column, and how many of these lose their value."""
        sums = ", ".join(
            f"sum(CASE WHEN {differs} THEN 1 ELSE 0 END), "
            f"sum(CASE WHEN {differs} AND {self._after[name]} IS NULL THEN 1 ELSE 0 END)"
            for name, differs in self.differences.items()
        )
        return f"SELECT {sums} {self.join} AND {self.changed}"

    @cached_property
    def first_changed(self) -> str:
        """The first changed rows, field by field: before, after, whether they differ."""
        quoted, shown = self.database.quoted, self.database.shown
        keys = ", ".join(shown(f"stage.{quoted(name)}") for name in self.destination.key)
        fields = "".join(
            f", {shown(f'target.{quoted(name)}')}, {shown(self._after[name])}, {differs}"
            for name, differs in self.differences.items()
        )
        return (
            f"SELECT stage.{ROW}, {keys}{fields} {self.join} AND {self.changed} ORDER BY stage.{ROW} "
            f"LIMIT {SAMPLE_SIZE}"
        )


def add_changes(to: dict[str, ColumnChanges], found: Mapping[str, ColumnChanges], sign: int = 1) -> None:
    """Add counts by column, or take them away again."""
    for name, changes in found.items():
        before = to.setdefault(name, ColumnChanges())
        before.changed += sign * changes.changed
        before.emptied += sign * changes.emptied


def _shown(value: object) -> str | None:
    return None if value is None else str(value)[:CELL_SHOWN]
