"""What rows of SQLite were before and are now, for the change log; nobody else writes in the time of a transaction."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Integer, Numeric, Table

from batch_jobs.strategies.sdk.database import driver_of
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, KEY
from batch_jobs.strategies.tables.changes.stored import UndecodableText, stored_table
from batch_jobs.strategies.tables.databases.loading import ROW, STAGE, Removal, RowChanges, Written
from batch_jobs.strategies.tables.databases.statements import Statements, new_values

TRIGGERS = (
    "SELECT 1 FROM (SELECT type, tbl_name FROM sqlite_master UNION ALL SELECT type, tbl_name FROM sqlite_temp_master) "
    "WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE"
)


def has_triggers(connection: Connection, table: Table) -> bool:
    """Whether a table has any."""
    return driver_of(connection).execute(TRIGGERS, [table.name]).fetchone() is not None


class Logging(Statements):
    """Finds by the stage what its rows do, and what became of them."""

    def new_and_known(self, connection: Connection, rows: int) -> tuple[list[int], list[int]]:
        """The numbers of the staged rows that are not there, and of those that are; in mode ``append`` none is."""
        if not self.destination.key:
            return list(range(rows)), []
        new = [row for (row,) in driver_of(connection).execute(self.unknown)]
        return new, np.setdiff1d(np.arange(rows), new).tolist()

    def created(self, connection: Connection, rows: list[int], reads_back: bool) -> Written:
        """What became of these staged rows, which were inserted."""
        if not reads_back:
            return Written(len(rows), changes=[RowChanges("created", np.array(rows, np.int64))])
        found = self.stored(connection, AFTER)
        found = found.filter(pc.is_in(found.column(ROW), pa.array(rows, pa.int64())))
        return Written(found.num_rows, changes=[RowChanges.numbered("created", found)])

    def updated(self, connection: Connection) -> Written:
        """Update the staged rows that are there where they differ."""
        if self.update is None:
            return Written()
        values = self.differing(connection)
        if not values.num_rows:
            return Written()
        driver_of(connection).execute(self.update)
        return Written(updated=values.num_rows, changes=[RowChanges.numbered("updated", values)])

    def differing(self, connection: Connection) -> pa.Table:
        """The staged rows that are there and differ, with each such column's values before and after."""
        sums = ", ".join(f"max({differ})" for differ in self.differences.values())
        differ_at_all = driver_of(connection).execute(f"SELECT {sums} {self.join}").fetchone()
        changing = [name for name, differs in zip(self.differences, differ_at_all, strict=True) if differs]
        if not changing:
            return pa.table({ROW: pa.array([], pa.int64())})
        after = new_values(self.database, self.destination, "stage")
        cells = "".join(
            f", CASE WHEN {self.differences[name]} THEN target.{self.database.quoted(name)} END"
            f", CASE WHEN {self.differences[name]} THEN {after[name]} END"
            for name in changing
        )
        names = [ROW, *(mark + name for name in changing for mark in (BEFORE, AFTER))]
        query = f"SELECT stage.{ROW}{cells} {self.join} WHERE {self.changed} ORDER BY stage.{ROW}"
        return self._fetch(connection, query, names)

    def removed(self, connection: Connection, removal: Removal) -> pa.Table:
        """What the rows are that are going to be removed; of those that are marked, what becomes of the marks."""
        if not removal.marks:
            return self.stored(connection, BEFORE, removal.condition).drop_columns([ROW])
        key = self.destination.logged_by
        cells = [f"target.{self.database.quoted(name)}" for name in key]
        for name, after in removal.marks.items():
            cells += [f"target.{self.database.quoted(name)}", after]
        names = [*(KEY + name for name in key), *(mark + name for name in removal.marks for mark in (BEFORE, AFTER))]
        return self._fetch(connection, f"SELECT {', '.join(cells)} {self.join} WHERE {removal.condition}", names)

    def stored(self, connection: Connection, mark: str, condition: str = "TRUE") -> pa.Table:
        """The staged rows as they are in the target: every column that can be written."""
        names = [column.name for column in self.destination.table.columns if column.computed is None]
        key = self.destination.logged_by
        cells = "".join(f", target.{self.database.quoted(name)}" for name in names)
        same = " AND ".join(f"target.{name} = stage.{name}" for name in map(self.database.quoted, key))
        query = f"SELECT stage.{ROW}{cells} FROM {STAGE} AS stage JOIN {self.table} AS target ON {same}"
        named = [(KEY if name in key else mark) + name for name in names]
        return self._fetch(connection, f"{query} WHERE {condition}", [ROW, *named])

    def _fetch(self, connection: Connection, query: str, names: Sequence[str]) -> pa.Table:
        columns = self.destination.table.columns
        numbers = [name for name in names if name != ROW and isinstance(columns[name[1:]].type, (Numeric, Integer))]
        driver = driver_of(connection)
        usual, driver.text_factory = driver.text_factory, _text
        try:
            found = stored_table(names, driver.execute(query).fetchall(), numbers)
        finally:
            driver.text_factory = usual
        if ROW in names and not found.num_rows:
            found = found.set_column(0, ROW, pa.array([], pa.int64()))
        return found


def _text(cell: bytes) -> str | UndecodableText:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return UndecodableText(cell)
