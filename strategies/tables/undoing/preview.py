"""The first look at what an undo will do: the whole log beside the tables as they are now, which are only read."""

import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.database import driver_of
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, KEY
from batch_jobs.strategies.tables.changes.entries import cells
from batch_jobs.strategies.tables.changes.planned import PlannedChanges
from batch_jobs.strategies.tables.importing.bisect import bisect
from batch_jobs.strategies.tables.importing.comparing import SAMPLE_SIZE, add_changes
from batch_jobs.strategies.tables.importing.plan import CELL_SHOWN, ColumnChanges, Counts, SampledChange
from batch_jobs.strategies.tables.undoing import keeping
from batch_jobs.strategies.tables.undoing.blocks import (
    INDEX,
    Block,
    Blocks,
    Fate,
    judge,
    overwritten,
    referred_to,
    touched,
    values_changed,
)
from batch_jobs.strategies.tables.undoing.groups import Fates, together
from batch_jobs.strategies.tables.undoing.left_out import planned_rows
from batch_jobs.strategies.tables.undoing.log import JobLog, Logged, LoggedChunk
from batch_jobs.strategies.tables.undoing.plan import RowOfTable, UndoPlan
from batch_jobs.strategies.tables.undoing.references import Going, Place
from batch_jobs.strategies.tables.undoing.rejecting import Rejecting, name_authors
from batch_jobs.strategies.tables.undoing.since import Later


class Preview:
    """Goes over the log once, in the order in which it is taken back.

    Args:
        job: receives the rejects.
        blocks: opens those of the log.
        plan: is filled.
        referring: the tables whose rows refer to others that the job changed.
        planned: takes all that is going to change.
    """

    def __init__(
        self, job: JobRun, blocks: Blocks, plan: UndoPlan, referring: set[Place], planned: PlannedChanges
    ) -> None:
        self._job = job
        self._blocks = blocks
        self._plan = plan
        self._referring = referring
        self._planned = planned
        #: By table, the rows that go.
        self._going: dict[Place, Going] = {}

    def run(self, log: JobLog) -> None:
        """Look at all of it."""
        rejecting = Rejecting(self._job, self._plan.tables)
        with self._job.target.connect() as connection:
            for chunk in log.chunks(None):
                self._job.stop_if_asked()
                with connection.begin():
                    for logged, fate in self._chunk(connection, chunk):
                        self._count(logged, fate)
                        self._show(logged, fate, rejecting.of(logged, fate, self._plan.total))
                        self._plan.total += len(logged.changed)
        self._plan.columns = {name: one for name, one in self._plan.columns.items() if one.changed}

    def _chunk(self, connection: Connection, chunk: LoggedChunk) -> Fates:
        later, going = Later(self._plan.job, chunk), dict(self._going)
        opened: dict[int, Block] = {}

        def looked_at(torn: frozenset[str]) -> Fates:
            self._going = dict(going)  # what was added for groups that stay is taken back
            fates: Fates = []
            for logged in chunk.blocks:
                block, fate = self._blocks.open(logged, torn)
                if block is not None:
                    opened[logged.number] = block
                    if len(block.candidates):
                        self._look(connection, block, later, fate)
                fates.append((logged, fate))
            return fates

        found = together(connection, looked_at)
        pairs = [(opened[logged.number], fate) for logged, fate in found if logged.number in opened and fate.back]
        self._planned.add([rows for block, fate in pairs for rows in planned_rows(chunk, block, fate)])
        return found

    def _look(self, connection: Connection, block: Block, later: Later, fate: Fate) -> None:
        rows = block.rows.take(pa.array(block.candidates)).append_column(INDEX, pa.array(block.candidates))
        parts, refused = bisect(connection, rows, lambda part: self._part(connection, block, later, part))
        for part in parts:
            fate.add(part.outcome)
        for row in refused:
            fate.kept[int(block.candidates[row.index])] = keeping.refused(row.message)

    def _part(self, connection: Connection, block: Block, later: Later, rows: pa.Table) -> Fate:
        block.stage.fill(connection, rows, last=False)
        fate = judge(block, rows, block.stage.met(connection))
        at = rows.column(INDEX).to_pylist()
        name_authors(connection, block.logged, later, fate, at, is_before=True)
        if self._plan.force:
            fate.force()
            if block.kind != "created":
                fate.log += overwritten(connection, block, rows, list(fate.forced), lock=False)
        block.stage.leave_out(connection, [*fate.unchanged, *fate.kept])
        if block.kind == "created":
            if block.table.references:
                fate.keep(referred_to(connection, block, self._going))
            if block.table.place in self._referring:
                self._note_going(connection, block)
        return fate.at(at)

    def _note_going(self, connection: Connection, block: Block) -> None:
        """Keep the keys of the rows in the stage, which go: that they refer to others does not keep these."""
        quoted, key, place = block.table.database.quoted, block.table.key, block.table.place
        bare = f"{self._blocks.name}_going_{len(self._going)}"
        name = quoted(bare)
        if place not in self._going:
            names = ", ".join(f"{quoted(one)} AS {quoted(KEY + one)}" for one in key)
            made = f"CREATE TEMPORARY TABLE {name} AS SELECT {names} FROM {block.table.quoted} WHERE FALSE"
            driver_of(connection).execute(f"DROP TABLE IF EXISTS {name}")  # of an attempt before on this connection
            driver_of(connection).execute(made)
            keys = ", ".join(quoted(KEY + one) for one in key)
            # unique, for without statistics a planner takes any other index for one of many rows a key
            driver_of(connection).execute(f"CREATE UNIQUE INDEX {quoted(f'{bare}_by_key')} ON {name} ({keys})")
            self._going[place] = Going(name, key)
        into = f"INSERT INTO {self._going[place].source} {block.stage.staged_keys} ON CONFLICT DO NOTHING"
        driver_of(connection).execute(into)

    def _count(self, logged: Logged, fate: Fate) -> None:
        plan, changed = self._plan, logged.changed
        forced = len(fate.forced)
        counts = Counts(unchanged=len(fate.unchanged), reject=len(fate.kept))
        if changed.kind == "created":
            counts.remove = len(fate.back)
        elif changed.kind == "removed":
            counts.create, counts.update = len(fate.back) - forced, forced
        else:
            counts.update = len(fate.back)
            columns = {name: values_changed(changed, name, fate.back) for name in touched(changed)}
            add_changes(plan.columns, {n: ColumnChanges(changed=c, emptied=e) for n, (c, e) in columns.items()})
        plan.forced += forced
        for to in (plan.counts, plan.tables.setdefault(changed.table, Counts())):
            for name in ("create", "update", "remove", "unchanged", "reject"):
                setattr(to, name, getattr(to, name) + getattr(counts, name))
        for kept in fate.kept.values():
            plan.reasons[kept.why] = plan.reasons.get(kept.why, 0) + 1

    def _show(self, logged: Logged, fate: Fate, rejected: list[RowOfTable]) -> None:
        plan = self._plan
        plan.rejects += rejected[: SAMPLE_SIZE - len(plan.rejects)]
        for index, kept in list(fate.forced.items())[: SAMPLE_SIZE - len(plan.overwritten)]:
            plan.overwritten.append(keeping.shown(logged.changed, index, kept))
        if logged.changed.kind == "updated":
            for index in fate.back[: SAMPLE_SIZE - len(plan.sample)]:
                plan.sample += _changes(logged, index)[: SAMPLE_SIZE - len(plan.sample)]


def _changes(logged: Logged, index: int) -> list[SampledChange]:
    row, changed = logged.changed.rows.slice(index, 1), logged.changed
    key, line = keeping.key_cells(changed, index), keeping.line_of(changed, index) or 0
    found = []
    for name in touched(changed):
        now, then = cells(row, AFTER + name)[0], cells(row, BEFORE + name)[0]
        if now is not None or then is not None:
            shown = (None if cell is None else cell[:CELL_SHOWN] for cell in (now, then))
            before, after = shown
            found.append(SampledChange(line=line, key=key, column=name, before=before, after=after))
    return found
