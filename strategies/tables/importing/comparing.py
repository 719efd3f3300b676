"""What would become of rows, found by comparing them with the target inside the database; the target is only read."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.tables.databases.loading import ROW, STAGE, Destination, difference
from batch_jobs.strategies.tables.importing.bisect import RefusedRow, bisect

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
    """The outcome: rows changed and unchanged are those whose key is there; ``known`` are the indices of both."""

    changed: int = 0
    unchanged: int = 0
    known: list[int] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


class Comparison:
    """Compares rows with those of the target that have the same key."""

    def __init__(self, database: Database, destination: Destination) -> None:
        self._destination = destination
        self._loader = database.loader(destination)
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
            found.changes += [Change(part.start + change.row, *_rest(change)) for change in outcome.changes]
        return found

    def _part(self, connection: Connection, rows: pa.Table, sample: int) -> Compared:
        self._loader.stage(connection, rows)
        driver: Any = connection.connection.driver_connection
        if self._destination.mode == "insert":
            return Compared(known=[row for (row,) in driver.execute(self._sql.known)])
        known, changed = driver.execute(self._sql.counts).fetchone()
        changes = self._changes(driver.execute(self._sql.changed)) if changed and sample else []
        return Compared(changed or 0, known - (changed or 0), changes=changes[:sample])

    def _changes(self, found: Any) -> list[Change]:
        key, others = self._destination.key, self._destination.others
        changes: list[Change] = []
        for row in found:
            names = dict(zip(key, map(str, row[1 : 1 + len(key)]), strict=True))
            fields = row[1 + len(key) :]
            for name, before, after, differs in zip(others, fields[0::3], fields[1::3], fields[2::3], strict=True):
                if differs:
                    changes.append(Change(row[0], names, name, _shown(before), _shown(after)))
        return changes


class _Statements:
    def __init__(self, database: Database, destination: Destination) -> None:
        quoted = database.quoted
        same = " AND ".join(f"target.{name} = stage.{name}" for name in map(quoted, destination.key))
        join = f"FROM {STAGE} AS stage JOIN {database.quoted_table(destination.table)} AS target ON {same}"
        each = {name: difference(database, destination, name, "target", "stage") for name in destination.others}
        changed = f"({' OR '.join(each.values()) or 'FALSE'})"
        keys = ", ".join(f"stage.{quoted(name)}" for name in destination.key)
        fields = "".join(f", target.{quoted(name)}, stage.{quoted(name)}, {test}" for name, test in each.items())
        #: How many rows are there already, and how many of them differ.
        self.counts = f"SELECT count(*), sum(CASE WHEN {changed} THEN 1 ELSE 0 END) {join}"
        #: Which rows are there already.
        self.known = f"SELECT stage.{ROW} {join} ORDER BY stage.{ROW}"
        #: The first changed rows, field by field: before, after, whether they differ.
        self.changed = (
            f"SELECT stage.{ROW}, {keys}{fields} {join} WHERE {changed} ORDER BY stage.{ROW} LIMIT {SAMPLE_SIZE}"
        )


def _rest(change: Change) -> tuple[dict[str, str], str, str | None, str | None]:
    return change.key, change.column, change.before, change.after


def _shown(value: object) -> str | None:
    return None if value is None else str(value)[:CELL_SHOWN]
