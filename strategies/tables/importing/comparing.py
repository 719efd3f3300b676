"""What would become of rows, found by comparing them with the target inside the database; the target is only read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.database import Database, driver_of
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE
from batch_jobs.strategies.tables.databases.loading import Destination, Loader, RowChanges
from batch_jobs.strategies.tables.databases.statements import Statements
from batch_jobs.strategies.tables.importing.absence import Indices
from batch_jobs.strategies.tables.importing.bisect import RefusedRow, bisect
from batch_jobs.strategies.tables.importing.plan import ColumnChanges

SAMPLE_SIZE = 20


@dataclass
class Compared:
    """The outcome: rows changed and unchanged are those whose key is there.

    ``known`` and ``unknown`` are the indices of rows to refuse, because their key is there or is not; ``new`` are those
    of rows to create, ``updates`` say what of others changes.
    """

    changed: int = 0
    unchanged: int = 0
    known: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    new: list[Indices] = field(default_factory=list)
    updates: list[RowChanges] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    columns: dict[str, ColumnChanges] = field(default_factory=dict)


class Comparison:
    """Compares rows with those of the target that have the same key."""

    def __init__(self, database: Database, destination: Destination, loader: Loader) -> None:
        self._destination = destination
        self._loader = loader
        self._sql = Statements(database, destination)

    def compare(self, connection: Connection, rows: pa.Table) -> Compared:
        """Compare rows."""
        found = Compared()
        self._loader.begin(connection, last=False)
        parts, found.refused = bisect(connection, rows, lambda part: self._part(connection, part))
        for part in parts:
            outcome = part.outcome
            found.changed += outcome.changed
            found.unchanged += outcome.unchanged
            found.known += [part.start + index for index in outcome.known]
            found.unknown += [part.start + index for index in outcome.unknown]
            found.new += [part.start + indices for indices in outcome.new]
            found.updates += [replace(update, rows=part.start + update.rows) for update in outcome.updates]
            add_changes(found.columns, outcome.columns)
        return found

    def _part(self, connection: Connection, rows: pa.Table) -> Compared:
        self._loader.stage(connection, rows)
        driver, count = driver_of(connection), rows.num_rows
        if self._destination.mode == "insert":
            known = [row for (row,) in driver.execute(self._sql.known)]
            return Compared(known=known, new=[np.setdiff1d(np.arange(count), known)])
        known, changed = driver.execute(self._sql.counts).fetchone()
        found = Compared(changed or 0, known - (changed or 0))
        if not self._destination.creates:
            found.unknown = [row for (row,) in driver.execute(self._sql.unknown)]
        elif known < count:
            new = [row for (row,) in driver.execute(self._sql.unknown)] if known else range(count)
            found.new = [np.array(new, np.int64)]
        if changed:
            differing = self._loader.differing(connection, rows.column_names)
            found.updates = [RowChanges.numbered("updated", differing)]
            found.columns = _by_column(differing)
        return found


def add_changes(to: dict[str, ColumnChanges], found: Mapping[str, ColumnChanges], sign: int = 1) -> None:
    """Add counts by column, or take them away again."""
    for name, changes in found.items():
        before = to.setdefault(name, ColumnChanges())
        before.changed += sign * changes.changed
        before.emptied += sign * changes.emptied


def _by_column(differing: pa.Table) -> dict[str, ColumnChanges]:
    """In how many rows each column changes, and how many of these lose their value."""
    found: dict[str, ColumnChanges] = {}
    for name in (name[1:] for name in differing.column_names if name.startswith(BEFORE)):
        is_emptied = pc.and_(pc.is_valid(differing.column(BEFORE + name)), pc.is_null(differing.column(AFTER + name)))
        emptied = pc.sum(is_emptied).as_py() or 0
        # where a column is the same, it has neither value
        changed = len(differing) - differing.column(AFTER + name).null_count + emptied
        if changed:
            found[name] = ColumnChanges(changed=changed, emptied=emptied)
    return found
