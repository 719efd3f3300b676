"""Writing rows into PostgreSQL so that it is known what each was before and is now: for the change log."""

import csv
import io
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.csv
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.database import Database, driver_of
from batch_jobs.strategies.sdk.errors import RowsMoved
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, KEY
from batch_jobs.strategies.tables.changes.matching import places_of
from batch_jobs.strategies.tables.databases.loading import (
    ROW,
    STAGE,
    Destination,
    Removal,
    Removed,
    RowChanges,
    Written,
)
from batch_jobs.strategies.tables.databases.statements import (
    Statements,
    assignments,
    differences,
    new_values,
    same_key,
)

#: Kinds of relations whose rows have a place.
PLACED = ("r", "p")


class LoggingStatements(Statements):
    """Statements that write rows of the stage and return what they did.

    Args:
        database: the database.
        destination: where rows go.
        append: the INSERT of the stage's rows, without a condition.
        kind: of relation, as ``pg_class`` has it.
        has_triggers: whether what is written may go through a trigger for rows.
    """

    def __init__(
        self, database: Database, destination: Destination, append: str, kind: str, has_triggers: bool
    ) -> None:
        super().__init__(database, destination)
        self._append = append
        self._kind = kind
        #: Whether a row may be changed or left out on its way.
        self.has_triggers = has_triggers
        #: Whether a new row may have values that were not written.
        self.reads_back = has_triggers or bool(destination.unsaid)

    @cached_property
    def lock(self) -> str:
        """Have rows that differ stay as they are until they are updated."""
        return f"SELECT 1 {self.join} AND {self.changed} FOR UPDATE OF target"

    @cached_property
    def update_returning(self) -> str | None:
        """Update where rows differ; returns of each column that did its values before and after.

        The row as it was is joined by its place: one that somebody changes at the same moment is left alone.
        """
        sets = assignments(self.database, self.destination, "stage")
        if not sets:
            return None
        differs = differences(self.database, self.destination, "before", "stage")
        own = "target.ctid = before.ctid AND target.tableoid = before.tableoid"
        if self._kind not in PLACED:
            own = same_key(self.database, self.destination, "target", "before")
        values = "".join(
            f", CASE WHEN {differ} THEN {self._text('before', name)} END AS {self._named(BEFORE, name)}"
            f", CASE WHEN {differ} THEN {self._text('target', name)} END AS {self._named(AFTER, name)}"
            for name, differ in differs.items()
        )
        same = same_key(self.database, self.destination, "before", "stage")
        return (
            f"UPDATE {self.table} AS target SET {sets} FROM {STAGE} AS stage JOIN {self.table} AS before ON {same} "
            f"WHERE {own} AND ({' OR '.join(differs.values())}) RETURNING stage.{ROW}{values}"
        )

    @cached_property
    def differing(self) -> str:
        """The staged rows that are there and differ, with each such column's values before and after."""
        after = new_values(self.database, self.destination, "stage")
        values = "".join(
            f", CASE WHEN {differ} THEN {self._text('target', name)} END AS {self._named(BEFORE, name)}"
            f", CASE WHEN {differ} THEN {self.database.carried(after[name])} END AS {self._named(AFTER, name)}"
            for name, differ in self.differences.items()
        )
        return f"SELECT stage.{ROW}{values} {self.join} AND {self.changed} ORDER BY stage.{ROW}"

    @cached_property
    def new_keys(self) -> str:
        """The numbers and keys of the staged rows that are not there."""
        return f"{self.staged_keys} WHERE {self.is_new}"

    @cached_property
    def staged_keys(self) -> str:
        """The numbers and keys of the staged rows."""
        keys = "".join(f", {self._text('stage', name)} AS {self._named(KEY, name)}" for name in self._key)
        return f"SELECT stage.{ROW}{keys} FROM {STAGE} AS stage"

    @cached_property
    def insert_new_returning(self) -> str:
        """Insert the staged rows that are not there; returns them.

        One that is there by now is refused, so that the chunk is tried again without it, and then finds it.
        """
        return f"{self._append} WHERE {self.is_new} {self._returning}"

    @cached_property
    def insert_returning(self) -> str:
        """Insert the staged rows whose key is not there, or in mode ``append`` all; returns them."""
        key = self.destination.key
        conflict = f"ON CONFLICT ({self.database.names(key)}) DO NOTHING" if key else ""
        return f"{self._append} {conflict} {self._returning}"

    def removable(self, removal: Removal) -> str:
        """What ``remove_returning`` would return."""
        # in a CASE with the column, the value of a mark is of its type
        marks = "".join(
            f", {self._text('target', name)} AS {self._named(BEFORE, name)}, "
            f"{self.database.carried(f'CASE WHEN FALSE THEN target.{self.database.quoted(name)} ELSE {value} END')} "
            f"AS {self._named(AFTER, name)}"
            for name, value in removal.marks.items()
        )
        cells = f"{self._keys}{marks}" if removal.marks else self._whole("target", BEFORE)
        return f"SELECT {cells} {self.join} WHERE {removal.condition}"

    def stored(self, mark: str) -> str:
        """The rows of the target that have the keys of the stage, locked."""
        lock = "" if self._kind == "v" and self.has_triggers else "FOR UPDATE OF target"
        return f"SELECT stage.{ROW}, {self._whole('target', mark)} {self.join} {lock}"

    def remove_returning(self, removal: Removal) -> str:
        """Remove the rows that have the keys of the stage; returns what they were, and what they are if marked."""
        if not removal.marks:
            return f"{self.remove(removal)} RETURNING {self._whole('target', BEFORE)}"
        same = same_key(self.database, self.destination, "before", "stage")
        marks = "".join(
            f", {self._text(side, name)} AS {self._named(mark, name)}"
            for name in removal.marks
            for side, mark in (("before", BEFORE), ("target", AFTER))
        )
        return (
            f"UPDATE {self.table} AS target SET {self.marking(removal)} FROM {STAGE} AS stage "
            f"JOIN {self.table} AS before ON {same} "
            f"WHERE target.ctid = before.ctid AND target.tableoid = before.tableoid AND {removal.condition} "
            f"RETURNING {self._keys}{marks}"
        )

    @property
    def _keys(self) -> str:
        """The key of a row of the target."""
        return ", ".join(f"{self._text('target', name)} AS {self._named(KEY, name)}" for name in self._key)

    def _whole(self, side: str, mark: str) -> str:
        """All of a row that can be written."""
        names = (column.name for column in self.destination.table.columns if column.computed is None)
        marked = ((KEY if name in self._key else mark, name) for name in names)
        return ", ".join(f"{self._text(side, name)} AS {self._named(mark, name)}" for mark, name in marked)

    @property
    def _returning(self) -> str:
        own = self.database.quoted(self.destination.table.name)
        return f"RETURNING {self._whole(own, AFTER)}" if self.reads_back else ""

    @property
    def _key(self) -> tuple[str, ...]:
        return self.destination.logged_by

    def _named(self, mark: str, name: str) -> str:
        return self.database.quoted(mark + name)

    def _text(self, side: str, name: str) -> str:
        return self.database.carried(f"{side}.{self.database.quoted(name)}")


def update_logged(connection: Connection, sql: LoggingStatements, changed: int) -> Written:
    """Update the rows that differ, of which there are so many.

    Raises:
        RowsMoved: somebody else wrote one of them.
    """
    if sql.update_returning is None:
        return Written()
    if sql.has_triggers:
        driver_of(connection).execute(sql.lock)
    rows = returned(connection, sql.update_returning)
    if rows.num_rows != changed and not sql.has_triggers:
        raise RowsMoved(sql.table)
    return Written(updated=rows.num_rows, changes=[RowChanges.numbered("updated", rows)])


def insert_new_logged(connection: Connection, sql: LoggingStatements, rows: int, known: int) -> Written:
    """Insert those of so many staged rows that are not there; ``known`` are.

    Raises:
        RowsMoved: somebody else wrote one of them.
    """
    new = returned(connection, sql.new_keys) if known or sql.reads_back else None
    if new is not None and known + new.num_rows != rows:
        raise RowsMoved(sql.table)
    if new is not None and sql.reads_back:
        change = _read_back(new, returned(connection, sql.insert_new_returning))
    else:
        inserted = driver_of(connection).execute(sql.insert_new_returning).rowcount
        indices = np.arange(rows) if new is None else new.column(ROW).to_numpy().astype(np.int64)
        if inserted != len(indices):
            raise RowsMoved(sql.table)
        change = RowChanges("created", indices)
    return Written(len(change.rows), changes=[change])


def insert_logged(connection: Connection, sql: LoggingStatements) -> Written:
    """Insert the staged rows whose key is not there, or in mode ``append`` all; what they hold is read back."""
    keys = returned(connection, sql.staged_keys)
    change = _read_back(keys, returned(connection, sql.insert_returning))
    known: list[int] = []
    if sql.destination.key:
        known = sorted(set(keys.column(ROW).to_pylist()) - set(change.rows.tolist()))
    return Written(len(change.rows), known=known, changes=[change])


def remove_logged(connection: Connection, sql: LoggingStatements, removal: Removal) -> Removed:
    """Remove the rows that have the keys of the stage."""
    rows = returned(connection, sql.remove_returning(removal))
    return Removed(rows.num_rows, rows)


def returned(connection: Connection, statement: str) -> pa.Table:
    """What a statement returns, every cell as text but for the number of the row."""
    written = io.BytesIO()
    with (
        driver_of(connection).cursor() as cursor,
        cursor.copy(f"COPY ({statement}) TO STDOUT (FORMAT csv, HEADER)") as out,
    ):
        for part in out:
            written.write(part)
    return _read_csv(written)


def _read_csv(written: io.BytesIO) -> pa.Table:
    names = next(csv.reader(io.StringIO(written.getvalue().decode())))
    types = {name: pa.int32() if name == ROW else pa.string() for name in names}
    return pyarrow.csv.read_csv(
        pa.py_buffer(written.getvalue()),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=1 << 26),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )


def _read_back(keys: pa.Table, made: pa.Table) -> RowChanges:
    """Which of the staged rows were made, and as what."""
    names = [name for name in keys.column_names if name != ROW]
    places = places_of(made.select(names), keys.select(names))
    return RowChanges("created", keys.column(ROW).take(places).to_numpy().astype(np.int64), made)
