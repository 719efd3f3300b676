"""The first look at a whole file: what will become of each row, and everything that is wrong with it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa

from batch_jobs.strategies.sdk.database import Database, database_of
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.tables.changes.blocks import ChangedRows, without_lines
from batch_jobs.strategies.tables.changes.entries import entries_of, places_of
from batch_jobs.strategies.tables.changes.hiding import hidden
from batch_jobs.strategies.tables.changes.planned import PlannedChanges
from batch_jobs.strategies.tables.changes.recording import changed_rows, named_by_key
from batch_jobs.strategies.tables.databases.loading import Destination, Loader, RowChanges
from batch_jobs.strategies.tables.importing.absence import Indices, by_absence
from batch_jobs.strategies.tables.importing.comparing import SAMPLE_SIZE, Compared, Comparison, add_changes
from batch_jobs.strategies.tables.importing.plan import ColumnChanges, Counts, SampledChange, SampledReject
from batch_jobs.strategies.tables.importing.refusing import Words
from batch_jobs.strategies.tables.importing.repeats import write_repeat
from batch_jobs.strategies.tables.prefetch import prefetched
from batch_jobs.strategies.tables.values.converting import Checked

Look = Callable[[], Iterator[Checked]]


class FileKeys(Protocol):
    """What knows the keys of a file: ``HashedKeys``, ``StagedKeys``."""

    def add(self, checked: Checked) -> None:
        """Take the keys of a batch's good rows."""

    def settle(self) -> bool:
        """Find repeated keys; returns whether there may be any."""

    def repeats_in(self, checked: Checked) -> dict[int, int]:
        """The repeated rows of a batch, in the order of the file: line -> line of the first one."""


@dataclass
class _Tallied:
    """Lines of rows that are rejects by themselves, and what is going to change."""

    refused: set[int] = field(default_factory=set)
    changes: list[ChangedRows] = field(default_factory=list)


class Preview:
    """Goes over the file once, and a second time only when keys are repeated in it.

    Args:
        job: receives the rejects.
        look: starts the file anew, converted.
        destination: where the rows would go.
        compares: whether there are rows in the target that they may meet.
        planned: takes all that is going to change; repeated rows are in it until ``leave_out_repeats``.
    """

    def __init__(
        self, job: JobRun, look: Look, destination: Destination, compares: bool, planned: PlannedChanges
    ) -> None:
        self.counts = Counts()
        self.columns: dict[str, ColumnChanges] = {}
        self.sample: list[SampledChange] = []
        self.rejects: list[SampledReject] = []
        self.total = 0
        self._job = job
        self._look = look
        self._destination = named_by_key(destination)
        self._compares = compares
        self._planned = planned
        self._database: Database = database_of(job.target)
        self._loader: Loader = self._database.loader(self._destination)
        self._comparisons: dict[tuple[str, ...], Comparison] = {}

    def run(self, keys: FileKeys) -> str | None:
        """Look; returns the key of the file of repeated rows, ``None`` when there are none."""
        with prefetched(self._look()) as batches:
            for checked in batches:
                self._first_look(checked, keys)
        repeats = self._look_again(keys) if keys.settle() else None
        self.columns = {name: changes for name, changes in self.columns.items() if changes.changed}
        return repeats

    def _first_look(self, checked: Checked, keys: FileKeys) -> None:
        self._job.stop_if_asked()
        self.total += checked.count
        self._reject(checked.rejects, {reject.line for reject in checked.rejects})
        if self._destination.key:
            keys.add(checked)
        tallied = self._tally(checked, np.flatnonzero(checked.good), 1)
        changes = tallied.changes
        if checked.batch.origin is not None:
            self.counts.left_out += checked.batch.origin.left_out
            self._refuse_siblings(checked, tallied.refused)
            changes = [without_lines(changed, tallied.refused) for changed in changes]
        self._planned.add(changes)
        self._show(changes)

    def _refuse_siblings(self, checked: Checked, lines: set[int]) -> None:
        """Of an input row that was made into several, all are refused with one."""
        siblings = np.flatnonzero(checked.good & np.isin(checked.lines, list(lines)))
        self._tally(checked, siblings, -1)
        checked.good[siblings] = False

    def _look_again(self, keys: FileKeys) -> str | None:
        key = f"jobs/{self._job.id}/repeated-keys.txt"
        found = 0
        with ExitStack() as open_things:
            stream = open_things.enter_context(self._job.files.writing(key))
            for checked in open_things.enter_context(prefetched(self._look())):
                repeats = keys.repeats_in(checked)
                for line, first in repeats.items():
                    write_repeat(stream, line, first)
                self._take_back(checked, repeats)
                found += len(repeats)
        return key if found else None

    def _take_back(self, checked: Checked, repeats: dict[int, int]) -> None:
        """Count repeated rows as rejects instead of what they were counted as."""
        if not repeats:
            return
        self.sample = [change for change in self.sample if change.line not in repeats]
        rows = np.flatnonzero(checked.good & np.isin(checked.lines, list(repeats)))
        before = len(checked.rejects)
        counted_before = self._tally(checked, rows, -1).refused
        checked.refuse_repeats(repeats)
        self._reject(checked.rejects[before:], set(repeats) - counted_before)

    def _tally(self, checked: Checked, rows: Indices, sign: int) -> "_Tallied":
        """Count these rows (or take them back)."""
        tallied = _Tallied()
        for indices, group in by_absence(checked.rows, rows, checked.absent):
            if len(indices):
                self._tally_group(checked, indices, group, sign, tallied)
        return tallied

    def _tally_group(self, checked: Checked, indices: Indices, rows: pa.Table, sign: int, tallied: "_Tallied") -> None:
        destination = self._destination.only(rows.column_names)
        words = Words(checked, destination)
        found = Compared() if words.cannot_insert else self._compare(destination, rows)
        rejects = [(int(index), words.lacking) for index in indices] if words.cannot_insert else []
        rejects += [(int(indices[refused.index]), refused.message) for refused in found.refused]
        rejects += [(int(indices[row]), words.known(int(indices[row]))) for row in found.known]
        rejects += [(int(indices[row]), words.unknown(int(indices[row]))) for row in found.unknown]
        lines = {int(checked.lines[index]) for index, _ in rejects}
        self.counts.update += sign * found.changed
        self.counts.unchanged += sign * found.unchanged
        self.counts.create += sign * (len(indices) - found.changed - found.unchanged - len(rejects))
        add_changes(self.columns, found.columns, sign)
        tallied.refused |= lines
        if sign > 0:
            self._reject([words.refuse(index, message) for index, message in rejects], lines)
            made = [*found.updates, *(RowChanges("created", new) for new in found.new)]
            tallied.changes += [changed_rows(destination, rows, checked.lines[indices], change) for change in made]

    def _compare(self, destination: Destination, rows: pa.Table) -> Compared:
        if not self._compares:
            every = np.arange(rows.num_rows)
            return Compared(new=[every]) if destination.creates else Compared(unknown=every.tolist())
        comparison = self._comparisons.get(tuple(destination.columns))
        if comparison is None:
            comparison = Comparison(self._database, destination, self._loader)
            self._comparisons[tuple(destination.columns)] = comparison
        with self._job.target.begin() as connection:  # writes to a temporary table only
            return comparison.compare(connection, rows)

    def _show(self, changes: list[ChangedRows]) -> None:
        """Keep the first fields that change of known rows."""
        for changed in changes if len(self.sample) < SAMPLE_SIZE else ():
            if changed.kind == "updated":
                shown = hidden(changed, self._job.changes.options)
                entries = entries_of(shown, *places_of(shown, limit=SAMPLE_SIZE - len(self.sample)))
                self.sample += [SampledChange.of(entry) for entry in entries]

    def _reject(self, rejects: list[Reject], lines: set[int]) -> None:
        self.counts.reject += len(lines)
        for reject in rejects:
            self._job.reject(reject.line, reject.column, reject.message, reject.row)
        if rejects and (len(self.rejects) < SAMPLE_SIZE or min(one.line for one in rejects) < self.rejects[-1].line):
            shown = [SampledReject(line=one.line, column=one.column, message=one.message) for one in rejects]
            self.rejects = sorted([*self.rejects, *shown], key=lambda one: one.line)[:SAMPLE_SIZE]
