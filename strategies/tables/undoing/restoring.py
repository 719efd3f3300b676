"""Putting rows of a block back, in the transaction of a chunk."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.database import driver_of
from batch_jobs.strategies.tables.changes.blocks import KEY, ChangedRows
from batch_jobs.strategies.tables.databases.loading import STAGE, Removal, Removed, refers_to_itself
from batch_jobs.strategies.tables.importing.bisect import bisect, bisect_in_any_order
from batch_jobs.strategies.tables.undoing import keeping
from batch_jobs.strategies.tables.undoing.blocks import Block, Blocks, Fate, judge, overwritten, referred_to
from batch_jobs.strategies.tables.undoing.groups import Fates, together
from batch_jobs.strategies.tables.undoing.left_out import LeftOutOfChunk
from batch_jobs.strategies.tables.undoing.log import Logged, LoggedChunk
from batch_jobs.strategies.tables.undoing.rejecting import name_authors
from batch_jobs.strategies.tables.undoing.since import Later
from batch_jobs.strategies.tables.undoing.tables import UndoTable

#: Rows removed at once for which making an index would not pay.
FEW = 100
AT_THE_SAME_MOMENT = "was not put back: somebody wrote it at the same moment, or a trigger kept it as it is"


@dataclass(frozen=True)
class Restoring:
    """Puts the rows of blocks back.

    Args:
        job_id: the job that is undone.
        connection: of the chunk.
        is_last: whether no other chunk follows.
        left_out: what the confirmation leaves out of the chunk.
        force: whether rows that somebody changed since are put back too.
    """

    job_id: str
    connection: Connection
    is_last: bool
    force: bool
    left_out: LeftOutOfChunk

    def chunk(self, blocks: Blocks, chunk: LoggedChunk) -> Fates:
        """Put back what one chunk of the job changed, of each group all rows or none."""

        def restored(torn: frozenset[str]) -> Fates:
            return [(logged, self._logged(blocks, logged, torn)) for logged in chunk.blocks]

        later, fates = Later(self.job_id, chunk), together(self.connection, restored)
        for logged, fate in fates:
            name_authors(self.connection, logged, later, fate, list(range(len(logged.changed))))
        return fates

    def _logged(self, blocks: Blocks, logged: Logged, torn: frozenset[str]) -> Fate:
        block, fate = blocks.open(logged, torn, self.left_out.rows(logged))
        if block is not None and len(block.candidates):
            fate.add(self._restore(block))
        return fate

    def _restore(self, block: Block) -> Fate:
        """Put back what can be of a block; what cannot stays, each row by itself."""
        way = {"created": self._remove, "removed": self._insert, "updated": self._update}[block.kind]
        candidates = block.rows.take(pa.array(block.candidates))
        bisecting = bisect_in_any_order if refers_to_itself(block.table.table) else bisect
        parts, refused = bisecting(self.connection, candidates, lambda rows: way(block, rows))
        fate = Fate()
        for part in parts:
            fate.add(part.outcome.at(block.candidates[part.start : part.start + part.rows].tolist()))
        for row in refused:
            fate.kept[int(block.candidates[row.index])] = keeping.refused(row.message)
        unforced = sorted(set(fate.back) - set(fate.forced))
        if unforced:
            fate.log.append(block.inverse(unforced))
        return fate

    def _update(self, block: Block, rows: pa.Table) -> Fate:
        block.stage.fill(self.connection, rows, self.is_last)
        fate = judge(block, rows, block.stage.met(self.connection))
        if self.force:
            fate.force()
        fate.spare(block.idle(rows))
        fate.log += overwritten(self.connection, block, rows, list(fate.forced))
        block.stage.leave_out(self.connection, [*fate.unchanged, *fate.kept])
        if fate.back and block.stage.put_back(self.connection, list(fate.forced)) != len(fate.back):
            _keep(fate, block.stage.not_as_before(self.connection))
        return fate

    def _remove(self, block: Block, rows: pa.Table) -> Fate:
        block.stage.fill(self.connection, rows, self.is_last)
        fate = judge(block, rows, block.stage.met(self.connection))
        if self.force:
            fate.force()
        block.stage.leave_out(self.connection, [*fate.unchanged, *fate.kept])
        keys = block.stage.keys(self.connection, list(fate.forced))
        if block.table.references:
            fate.keep(referred_to(self.connection, block, {}))
        _keep(fate, [row for row in fate.back if row not in keys])
        forced, left = list(fate.forced), [row for row in fate.back if row not in fate.forced]
        with self._references_indexed(block.table, len(keys)):
            removed = self._delete(block, [keys[row] for row in left], logged=False)
            overwritten = self._delete(block, [keys[row] for row in forced], logged=True)
        if removed.count + overwritten.count != len(fate.back):
            block.stage.fill(self.connection, rows, self.is_last)
            _keep(fate, block.stage.numbers_where(self.connection, "TRUE"))
        if overwritten.values is not None and overwritten.count:
            changed = block.logged.changed
            fate.log.append(ChangedRows(changed.table, "removed", changed.key, overwritten.values))
        return fate

    def _insert(self, block: Block, rows: pa.Table) -> Fate:
        block.stage.fill(self.connection, rows, self.is_last)
        fate = judge(block, rows, block.stage.met(self.connection))
        if self.force:
            fate.force()
        fate.log += overwritten(self.connection, block, rows, list(fate.forced))
        forced = list(fate.forced)
        if forced:
            block.stage.put_back(self.connection, forced)
        new = [row for row in fate.back if row not in fate.forced]
        if new:
            _keep(fate, [new[row] for row in self._create(block, rows.take(pa.array(new, pa.int64())))])
        return fate

    def _create(self, block: Block, rows: pa.Table) -> list[int]:
        """Insert rows as they were; returns the numbers of those that somebody inserted at the same moment."""
        values = rows.select([name for name in block.stage.names if name[0] == KEY or name[1:] not in block.spared])
        values = values.rename_columns([name[1:] for name in values.column_names])
        destination = block.table.destination(values.column_names, "insert")
        loader = block.table.database.loader(destination)
        self.connection.info.pop(STAGE, None)
        loader.begin(self.connection, self.is_last)
        return loader.write(self.connection, loader.encode(values)).known

    @contextmanager
    def _references_indexed(self, table: UndoTable, rows: int) -> Iterator[None]:
        """Have references checked by an index while rows are removed, where nobody else waits to write meanwhile."""
        needs_index = table.database.is_embedded and rows > FEW
        references = table.slow_references if needs_index else []
        names = [table.database.quoted(f"batch_job_undo_{number}") for number in range(len(references))]
        for name, reference in zip(names, references, strict=True):
            on = f"{table.database.quoted_table(reference.table)} ({table.database.names(reference.columns)})"
            driver_of(self.connection).execute(f"CREATE INDEX {name} ON {on}")
        yield  # where it fails, these go with the savepoint
        for name in names:
            driver_of(self.connection).execute(f"DROP INDEX {name}")

    def _delete(self, block: Block, keys: list[tuple[object, ...]], logged: bool) -> Removed:
        """Remove rows with these keys; ``logged`` says whether what they were is to be known."""
        if not keys:
            return Removed(0)
        destination = block.table.destination(block.table.columns, "update", logged)
        loader = block.table.database.loader(destination)
        self.connection.info.pop(STAGE, None)
        loader.begin(self.connection, self.is_last)
        return loader.remove(self.connection, keys, Removal("TRUE"))


def _keep(fate: Fate, rows: list[int]) -> None:
    fate.keep(dict.fromkeys(rows, keeping.refused(AT_THE_SAME_MOMENT)))
