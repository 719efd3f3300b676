"""A block of the log beside the table as it is by now: which of its rows can be put back at all, and their stage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha1
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.change_log import Kind
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, GROUP, KEY, LINE, ChangedRows
from batch_jobs.strategies.tables.changes.entries import cells
from batch_jobs.strategies.tables.changes.hiding import has_hidden
from batch_jobs.strategies.tables.changes.stored import UndecodableText, is_mixed, stored_values
from batch_jobs.strategies.tables.databases.loading import ROW
from batch_jobs.strategies.tables.undoing import keeping
from batch_jobs.strategies.tables.undoing.keeping import Kept
from batch_jobs.strategies.tables.undoing.log import Logged
from batch_jobs.strategies.tables.undoing.references import Going, Place
from batch_jobs.strategies.tables.undoing.staged import Met, Staged
from batch_jobs.strategies.tables.undoing.tables import UndoTable, UndoTables

Indices = npt.NDArray[np.int64]
#: Where a row is in its block, of rows that are looked at.
INDEX = "index"
#: Columns of rows beside keys and values.
OF_ROWS = (LINE, GROUP, INDEX)
NOTHING: Mapping[int, str] = MappingProxyType({})


@dataclass
class Fate:
    """What becomes of the rows of a block, by their indices.

    ``back`` go back; ``unchanged`` are already as they were before the job; ``kept`` stay as they are, and of those
    that go back all the same ``forced`` says what is overwritten.
    """

    back: list[int] = field(default_factory=list)
    unchanged: list[int] = field(default_factory=list)
    kept: dict[int, Kept] = field(default_factory=dict)
    forced: dict[int, Kept] = field(default_factory=dict)
    log: list[ChangedRows] = field(default_factory=list)

    def keep(self, kept: Mapping[int, Kept]) -> None:
        """Have rows stay that were to go back, if they were."""
        going = set(self.back)
        stay = {row: why for row, why in kept.items() if row in going}
        self.back = [row for row in self.back if row not in stay]
        self.forced = {row: why for row, why in self.forced.items() if row not in stay}
        self.kept |= stay

    def spare(self, rows: Sequence[int]) -> None:
        """Have rows count as unchanged of which nothing is put back."""
        idle = set(rows).intersection(self.back)
        self.back = [row for row in self.back if row not in idle]
        self.forced = {row: kept for row, kept in self.forced.items() if row not in idle}
        self.unchanged += sorted(idle)

    def force(self) -> None:
        """Have rows go back that somebody changed since."""
        self.forced = {row: kept for row, kept in self.kept.items() if kept.may_be_forced}
        self.kept = {row: kept for row, kept in self.kept.items() if not kept.may_be_forced}
        self.back = sorted([*self.back, *self.forced])

    def at(self, indices: Sequence[int]) -> "Fate":
        """The same with indices of the block in the place of the numbers of staged rows."""
        return Fate(
            [indices[row] for row in self.back],
            [indices[row] for row in self.unchanged],
            {indices[row]: kept for row, kept in self.kept.items()},
            {indices[row]: kept for row, kept in self.forced.items()},
            self.log,
        )

    def add(self, more: "Fate") -> None:
        """Add what becomes of further rows."""
        self.back += more.back
        self.unchanged += more.unchanged
        self.kept |= more.kept
        self.forced |= more.forced
        self.log += more.log


@dataclass(frozen=True)
class Block:
    """Rows of the log whose table is there, and those of them that can go back as far as the log says."""

    logged: Logged
    table: UndoTable
    stage: Staged
    #: The indices of rows that can.
    candidates: Indices
    #: Columns that stay as they are.
    spared: frozenset[str] = frozenset()

    @property
    def kind(self) -> Kind:
        """What the job did to the rows."""
        return self.logged.changed.kind

    @property
    def rows(self) -> pa.Table:
        """All rows, as the log has them."""
        return self.logged.changed.rows

    def idle(self, rows: pa.Table) -> list[int]:
        """The numbers of updated rows of which no column is put back."""
        restored = set(self.stage.restored)
        if self.kind != "updated" or restored.issuperset(touched(self.logged.changed)):
            return []
        part = replace(self.logged.changed, rows=rows)
        is_changed = [part.changed(name) for name in self.stage.restored]
        return np.flatnonzero(~np.logical_or.reduce([np.zeros(len(part), dtype=bool), *is_changed])).tolist()

    def inverse(self, indices: list[int]) -> ChangedRows:
        """What putting these rows back is in the log."""
        changed = self.logged.changed
        kinds: Mapping[Kind, Kind] = {"created": "removed", "removed": "created", "updated": "updated"}
        swapped = {BEFORE: AFTER, AFTER: BEFORE}
        rows = self.rows if len(indices) == len(changed) else self.rows.take(pa.array(indices, pa.int64()))
        spared = [name for name in rows.column_names if name[0] in swapped and name[1:] in self.spared]
        rows = rows.drop_columns(spared)
        rows = rows.rename_columns([swapped.get(name[0], name[0]) + name[1:] for name in rows.column_names])
        return ChangedRows(changed.table, kinds[changed.kind], changed.key, rows)


class Blocks:
    """Opens blocks of a log.

    Args:
        tables: of the target.
        name: what temporary tables of this undo are called, with more behind it.
        spared: columns that stay as they are, but of rows that are removed.
    """

    def __init__(self, tables: UndoTables, name: str, spared: frozenset[str] = frozenset()) -> None:
        self._tables = tables
        self.name = name
        self._spared = spared
        self._stages: dict[tuple[str, ...], Staged] = {}

    def open(
        self, logged: Logged, without: frozenset[str] = frozenset(), left_out: Mapping[int, str] = NOTHING
    ) -> tuple[Block | None, Fate]:
        """A block, ``None`` where no row can go back, and what becomes of rows by what the log alone says.

        Args:
            logged: the block.
            without: groups that stay.
            left_out: rows that stay because the confirmation says so, and why.
        """
        changed, fate = logged.changed, Fate(kept={row: keeping.left_out(why) for row, why in left_out.items()})
        table = self._tables.of(changed.table, changed.key)
        if isinstance(table, str):
            fate.kept = dict.fromkeys(range(len(changed)), keeping.altered(table)) | fate.kept
            return None, fate
        for name, kept in _lost(changed, table):
            for index in np.flatnonzero(changed.changed(name)).tolist():
                fate.kept.setdefault(index, kept)
        for name, index in _undecodable(changed):
            fate.kept.setdefault(index, keeping.undecodable(name))
        for index, group in enumerate(logged.groups) if without else ():
            if group in without:
                fate.kept.setdefault(index, keeping.of_group(group))
        candidates = np.setdiff1d(np.arange(len(changed)), list(fate.kept)).astype(np.int64)
        spared = frozenset() if changed.kind == "created" else self._spared
        return Block(logged, table, self._stage(changed, table, spared), candidates, spared), fate

    def _stage(self, changed: ChangedRows, table: UndoTable, spared: frozenset[str]) -> Staged:
        columns = [name for name in touched(changed) if name in table.columns and not _is_hidden(changed, name)]
        asked = (changed.table, *changed.key, changed.kind, *columns)
        if asked not in self._stages:
            # by what it is: another attempt, which meets other rows first, may have the same connection
            name = f"{self.name}_{sha1(repr(asked).encode()).hexdigest()[:8]}"
            self._stages[asked] = Staged(table, changed.kind, columns, spared, name)
        return self._stages[asked]


def judge(block: Block, rows: pa.Table, met: list[Met]) -> Fate:
    """What becomes of the staged rows of a block by what the table has by now, by their numbers."""
    fate = Fate()
    for one in met:
        if one.is_there and one.is_as_before:
            fate.unchanged.append(one.row)
        elif one.is_there and block.kind == "removed":
            fate.kept[one.row] = keeping.made_anew(list(one.changed))
        elif one.is_there:
            fate.kept[one.row] = keeping.changed_since(_then_and_now(rows, one))
        elif block.kind == "created":
            fate.unchanged.append(one.row)
        else:
            fate.kept[one.row] = keeping.gone()
    others = {*fate.unchanged, *fate.kept}
    fate.back = [row for row in range(rows.num_rows) if row not in others] if others else list(range(rows.num_rows))
    return fate


def referred_to(connection: Connection, block: Block, going: Mapping[Place, Going]) -> dict[int, Kept]:
    """The staged rows that others refer to, which are taken out of the stage.

    Args:
        connection: has the stage.
        block: of rows that the job created.
        going: by table, which of its rows go too.
    """
    found: dict[int, list[str]] = {}
    block.table.database.plan_freely(connection)
    while True:
        more = False
        for reference in block.table.references:
            numbers = block.stage.referred_to(connection, reference, going.get(reference.place))
            for number in numbers:
                found.setdefault(number, []).append(reference.name)
            block.stage.leave_out(connection, numbers)
            # a row that stays may itself refer to others of the stage
            more = more or (bool(numbers) and reference.is_own)
        if not more:
            return {number: keeping.referenced(sorted(set(tables))) for number, tables in found.items()}


def overwritten(
    connection: Connection, block: Block, rows: pa.Table, forced: list[int], lock: bool = True
) -> list[ChangedRows]:
    """What putting staged rows of these numbers back is in the log: they are not what the job left.

    Args:
        connection: has the stage.
        block: of the rows.
        rows: all that are staged.
        forced: the numbers of those that somebody changed since.
        lock: whether nobody else may change them until the transaction ends.
    """
    if not forced:
        return []
    current = block.stage.current(connection, forced, lock)
    taken = rows.take(current.column(ROW))
    columns = {name: taken.column(name) for name in taken.column_names if name[0] == KEY or name in OF_ROWS}
    fields = [taken.schema.field(name) for name in columns]
    for name in block.logged.changed.columns:
        if BEFORE + name not in current.column_names:
            continue
        differs = pc.equal(current.column("?" + name).cast(pa.int64()), 1)
        was = taken.column(BEFORE + name)
        fields.append(current.schema.field(BEFORE + name))
        fields.append(taken.schema.field(BEFORE + name).with_name(AFTER + name))
        columns[BEFORE + name] = current.column(BEFORE + name)
        columns[AFTER + name] = pc.if_else(differs, was, pa.scalar(None, was.type))
    changed = block.logged.changed
    made = pa.table(list(columns.values()), schema=pa.schema(fields))
    return [ChangedRows(changed.table, "updated", changed.key, made)]


def touched(changed: ChangedRows) -> list[str]:
    """The columns that are in the log of rows, of updated ones those in which at least one has changed."""
    if changed.kind != "updated":
        return changed.columns
    rows = changed.rows
    return [
        name
        for name in changed.columns
        if any(rows.column(mark + name).null_count < len(changed) for mark in (BEFORE, AFTER))
    ]


def _then_and_now(rows: pa.Table, met: Met) -> dict[str, tuple[str | None, str | None]]:
    row = rows.slice(met.row, 1)
    then = {name: AFTER + name for name in met.changed}
    return {
        name: (met.changed[name], cells(row, column)[0] if column in row.column_names else None)
        for name, column in then.items()
    }


def _lost(changed: ChangedRows, table: UndoTable) -> Iterator[tuple[str, Kept]]:
    """The columns whose values cannot be put back or compared, and why."""
    for name in touched(changed):
        if name not in table.table.columns:
            yield name, keeping.altered(f"it has no column {name} any more", name)
        elif name not in table.columns:
            yield name, keeping.altered(f"{name} is computed by now", name)
        elif _is_hidden(changed, name):
            yield name, keeping.hidden(name)


def _undecodable(changed: ChangedRows) -> Iterator[tuple[str, int]]:
    """Columns and rows with a text that is not in UTF-8, which no driver writes."""
    rows = changed.rows
    for column in filter(is_mixed, rows.schema):
        values = stored_values(column, rows.column(column.name))
        yield from ((column.name[1:], row) for row, cell in enumerate(values) if isinstance(cell, UndecodableText))


def _is_hidden(changed: ChangedRows, name: str) -> bool:
    names = (BEFORE + name, AFTER + name)
    return any(has_hidden(changed.rows.schema.field(one)) for one in names if one in changed.rows.column_names)


def values_changed(changed: ChangedRows, name: str, indices: list[int]) -> tuple[int, int]:
    """In how many of some updated rows a column changes by putting them back, and in how many of them it is emptied."""
    is_changed, empty = changed.changed(name), pc.is_null(changed.rows.column(BEFORE + name)).to_numpy()
    if len(indices) < len(changed):
        is_changed, empty = is_changed[indices], empty[indices]
    return int(is_changed.sum()), int((is_changed & empty).sum())
