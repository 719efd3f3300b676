"""Rows of the log in the database beside the table that they are of, and the SQL by which the two meet."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from sqlalchemy import Column, Connection, MetaData, Table

from batch_jobs.strategies.sdk.change_log import Kind
from batch_jobs.strategies.sdk.database import driver_of
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, KEY
from batch_jobs.strategies.tables.changes.stored import stored_table
from batch_jobs.strategies.tables.databases.loading import ROW, STAGE, Destination
from batch_jobs.strategies.tables.databases.naming import DATABASE
from batch_jobs.strategies.tables.databases.statements import difference, key_cell, new_values
from batch_jobs.strategies.tables.undoing.references import Going, Reference
from batch_jobs.strategies.tables.undoing.tables import UndoTable


@dataclass(frozen=True)
class Met:
    """A row of the stage that is not as the job left it.

    ``is_there`` says whether the table has its key; ``changed`` are the columns that differ from what the job left,
    with what is there for people; ``is_as_before`` says whether all are already as they were before the job.
    """

    row: int
    is_there: bool
    changed: dict[str, str | None]
    is_as_before: bool


class Staged:
    """The stage for rows of one table to which the same was done.

    Args:
        table: they are of.
        kind: what was done.
        columns: those of their values that the table has.
        spared: those that are compared and not put back.
        name: of a temporary table, which no other stage of this connection has.
    """

    def __init__(
        self, table: UndoTable, kind: Kind, columns: Sequence[str], spared: Collection[str], name: str
    ) -> None:
        self._table = table
        self._kind = kind
        self._columns = list(columns)
        #: Those that are put back.
        self.restored = [column for column in columns if column not in spared]
        self._database = table.database
        marks = {"created": (AFTER,), "removed": (BEFORE,), "updated": (BEFORE, AFTER)}[kind]
        #: The columns of the log that are staged.
        self.names = [*(KEY + name for name in table.key), *(mark + name for name in columns for mark in marks)]
        self._stage = Destination(
            Table(name, MetaData(), *(self._column(name) for name in self.names), info={DATABASE: self._database}),
            self.names,
            [KEY + name for name in table.key],
            "update",
            {KEY + name: collation for name, collation in table.collations.items()},
        )
        self._target = table.destination(table.columns if kind == "created" else [*table.key, *columns], "update")
        if kind == "created":  # columns that were added since are held against their defaults
            self._target = self._target.only([*table.key, *columns])
        self._loader = self._database.loader(self._stage)

    def fill(self, connection: Connection, rows: pa.Table, last: bool) -> None:
        """Put rows of the log into the stage, numbered."""
        quoted = self._database.quoted
        cells = ", ".join(f"{quoted(name[1:])} AS {quoted(name)}" for name in self.names)
        stage = quoted(self._stage.table.name)
        # what is made of no row has the types of the columns, and nothing that keeps the table from being dropped
        driver_of(connection).execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {stage} AS SELECT {cells} FROM {self._table.quoted} WHERE FALSE"
        )
        connection.info.pop(STAGE, None)  # it is made anew: what a savepoint took back may be taken for it
        self._loader.begin(connection, last)
        self._loader.stage(connection, rows.select(self.names))

    def leave_out(self, connection: Connection, rows: Sequence[int]) -> None:
        """Take rows of these numbers out of the stage."""
        if rows:
            driver_of(connection).execute(f"DELETE FROM {STAGE} WHERE {ROW} IN ({', '.join(map(str, rows))})")

    @property
    def staged_keys(self) -> str:
        """The query of the keys in the stage."""
        names = [self._database.quoted(KEY + name) for name in self._table.key]
        filled = " AND ".join(f"{name} IS NOT NULL" for name in names)
        return f"SELECT {', '.join(names)} FROM {STAGE} WHERE {filled}"

    def referred_to(self, connection: Connection, reference: Reference, going: Going | None) -> list[int]:
        """The numbers of the staged rows that are there and that rows refer to which stay.

        Args:
            connection: has the stage.
            reference: the foreign key by which they do.
            going: which rows of its table go, those of the stage itself aside.
        """
        quoted = self._database.quoted
        pairs = zip(reference.to, reference.columns, strict=True)
        refers = " AND ".join(f"target.{quoted(to)} = referring.{quoted(name)}" for to, name in pairs)
        gone = [going] if going else []
        gone += [Going(STAGE, self._table.key)] if reference.is_own else []
        joined, stays = "", ""
        for number, rows in enumerate(gone):
            same = " AND ".join(f"referring.{quoted(name)} = gone{number}.{quoted(KEY + name)}" for name in rows.key)
            joined += f" LEFT JOIN {rows.source} AS gone{number} ON {same}"
            stays += f" AND gone{number}.{quoted(KEY + rows.key[0])} IS NULL"
        # SQLite keeps the order of a CROSS JOIN, and makes an index where it lacks one
        table = f"CROSS JOIN {self._database.quoted_table(reference.table)} AS referring"
        query = f"SELECT DISTINCT stage.{ROW} {self._join} {table}{joined} WHERE {refers}{stays}"
        return [row for (row,) in driver_of(connection).execute(query).fetchall()]

    def met(self, connection: Connection) -> list[Met]:
        """The rows that are not as the job left them."""
        return [self._met(row) for row in self._loader.fetch(connection, self._others)]

    def keys(self, connection: Connection, even_if_changed: Sequence[int]) -> dict[int, tuple[Any, ...]]:
        """The keys of staged rows as ``Loader.remove`` takes them, by their numbers; nobody else can change these.

        Rows that somebody changed since have none, but for those of these numbers.
        """
        cells = ", ".join(self._database.carried(f"target.{name}") for name in self._quoted_key)
        condition = self._as_left(even_if_changed)
        query = f"SELECT stage.{ROW}, {cells} {self._join} WHERE {condition} ORDER BY stage.{ROW}{self._lock}"
        return {row[0]: tuple(row[1:]) for row in driver_of(connection).execute(query).fetchall()}

    def numbers_where(self, connection: Connection, condition: str) -> list[int]:
        """The numbers of the staged rows that are there and meet a condition on ``target``."""
        query = f"SELECT stage.{ROW} {self._join} WHERE {condition}"
        return [row for (row,) in driver_of(connection).execute(query).fetchall()]

    def put_back(self, connection: Connection, even_if_changed: Sequence[int] = ()) -> int:
        """Give the staged rows that are there what they had before the job; returns how many did.

        Rows that somebody changed since are left alone, but for those of these numbers.
        """
        if not self.restored:
            return 0
        sets = ", ".join(f"{self._database.quoted(name)} = {self._restored(name)}" for name in self.restored)
        condition = f"{self._same} AND {self._as_left(even_if_changed)}"
        done = driver_of(connection).execute(
            f"UPDATE {self._table.quoted} AS target SET {sets} FROM {STAGE} AS stage WHERE {condition}"
        )
        return int(done.rowcount)

    def not_as_before(self, connection: Connection) -> list[int]:
        """The numbers of the staged rows that are not there as they were before the job."""
        differs = " OR ".join(self._from_before(name) for name in self.restored) or "FALSE"
        query = f"SELECT stage.{ROW} {self._outer_join} WHERE {self._is_gone} OR {differs}"
        return [row for (row,) in driver_of(connection).execute(query).fetchall()]

    def current(self, connection: Connection, rows: Sequence[int], lock: bool) -> pa.Table:
        """What staged rows are now (``-name``) in columns where that is not what they were, by number (``ROW``)."""
        cells = "".join(
            f", CASE WHEN {self._from_before(name)} THEN "
            f"{self._database.carried(f'target.{self._database.quoted(name)}')} END, "
            f"CASE WHEN {self._from_before(name)} THEN 1 ELSE 0 END"
            for name in self.restored
        )
        numbers = ", ".join(map(str, rows))
        query = f"SELECT stage.{ROW}{cells} {self._join} WHERE stage.{ROW} IN ({numbers}) ORDER BY 1"
        query += self._lock if lock else ""
        names = [ROW, *(mark + name for name in self.restored for mark in (BEFORE, "?"))]
        return stored_table(names, driver_of(connection).execute(query).fetchall())

    def _as_left(self, even_if_changed: Sequence[int]) -> str:
        """That a row is as the job left it, or has one of these numbers; one that it removed is not there then."""
        as_left = "FALSE" if self._kind == "removed" else f"NOT {self._is_changed}"
        if not even_if_changed:
            return as_left
        return f"({as_left} OR stage.{ROW} IN ({', '.join(map(str, even_if_changed))}))"

    @cached_property
    def _others(self) -> str:
        shown, quoted = self._database.shown, self._database.quoted
        cells = "".join(
            f", {differs}, {self._from_before(name) if name in self._columns else 'TRUE'}, "
            f"{shown(f'target.{quoted(name)}')}"
            for name, differs in self._from_after.items()
        )
        return (
            f"SELECT stage.{ROW}, {self._is_gone}{cells} {self._outer_join} WHERE {self._is_other} ORDER BY stage.{ROW}"
        )

    @cached_property
    def _is_other(self) -> str:
        return f"NOT {self._is_gone}" if self._kind == "removed" else f"({self._is_gone} OR {self._is_changed})"

    def _met(self, row: Sequence[Any]) -> Met:
        names, cells = list(self._from_after), row[2:]
        changed = {name: cells[3 * place + 2] for place, name in enumerate(names) if cells[3 * place]}
        is_as_before = self._kind != "created" and not any(cells[1::3])
        shown = {name: None if cell is None else str(cell) for name, cell in changed.items()}
        return Met(row[0], not row[1], shown, is_as_before)

    @cached_property
    def _from_after(self) -> dict[str, str]:
        """That a column is not as the job left it; of a row that it removed, not as it was before."""
        if self._kind == "removed":
            return {name: self._from_before(name) for name in self._columns}
        if self._kind == "created":
            target = {
                name: f"target.{self._database.quoted(name)}" for name in (*self._columns, *self._target.defaults)
            }
            after = new_values(self._database, self._target, "stage")
            after |= {name: self._cell(AFTER, name) for name in self._columns}
            return {
                name: difference(self._database, self._target, name, target[name], value)
                for name, value in after.items()
                if name not in self._table.key
            }
        return {name: f"({self._was_touched(name)} AND {self._difference(name, AFTER)})" for name in self._columns}

    def _from_before(self, name: str) -> str:
        """That a column is not as it was before the job."""
        if self._kind == "created":
            return "TRUE"
        differs = self._difference(name, BEFORE)
        return f"({self._was_touched(name)} AND {differs})" if self._kind == "updated" else f"({differs})"

    def _difference(self, name: str, mark: str) -> str:
        cell = f"target.{self._database.quoted(name)}"
        return difference(self._database, self._target, name, cell, self._cell(mark, name))

    def _was_touched(self, name: str) -> str:
        return f"({self._cell(BEFORE, name)} IS NOT NULL OR {self._cell(AFTER, name)} IS NOT NULL)"

    def _restored(self, name: str) -> str:
        before = self._cell(BEFORE, name)
        if self._kind != "updated":
            return before
        return f"CASE WHEN {self._was_touched(name)} THEN {before} ELSE target.{self._database.quoted(name)} END"

    def _cell(self, mark: str, name: str) -> str:
        return f"stage.{self._database.quoted(mark + name)}"

    @cached_property
    def _is_changed(self) -> str:
        return f"({' OR '.join(self._from_after.values()) or 'FALSE'})"

    @cached_property
    def _is_gone(self) -> str:
        return f"(target.{self._quoted_key[0]} IS NULL)"

    @cached_property
    def _quoted_key(self) -> list[str]:
        return [self._database.quoted(name) for name in self._table.key]

    @cached_property
    def _same(self) -> str:
        cells = (
            (
                key_cell(self._database, self._target, name, "target"),
                key_cell(self._database, self._stage, KEY + name, "stage"),
            )
            for name in self._table.key
        )
        return " AND ".join(" = ".join(pair) for pair in cells)

    @property
    def _join(self) -> str:
        return f"FROM {STAGE} AS stage JOIN {self._table.quoted} AS target ON {self._same}"

    @property
    def _outer_join(self) -> str:
        return f"FROM {STAGE} AS stage LEFT JOIN {self._table.quoted} AS target ON {self._same}"

    @property
    def _lock(self) -> str:
        return " FOR UPDATE OF target" if self._database.row_lock else ""

    def _column(self, name: str) -> Column[Any]:
        column = self._table.table.columns[name[1:]]
        return Column(name, column.type, info=column.info)
