"""The first look at a whole file: what will become of each row, and everything that is wrong with it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Protocol

import numpy as np
import pyarrow as pa

from batch_jobs.strategies.sdk.database import Database, database_of
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.tables.databases.loading import Destination, Loader
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


class Preview:
    """Goes over the file once, and a second time only when keys are repeated in it.

    Args:
        job: receives the rejects.
        look: starts the file anew, converted.
        destination: where the rows would go.
        compares: whether there are rows in the target that they may meet.
    """

    def __init__(self, job: JobRun, look: Look, destination: Destination, compares: bool) -> None:
        self.counts = Counts()
        self.columns: dict[str, ColumnChanges] = {}
        self.sample: list[SampledChange] = []
        self.rejects: list[SampledReject] = []
        self.total = 0
        self._job = job
        self._look = look
        self._destination = destination
        self._compares = compares
        self._database: Database = database_of(job.target)
        self._loader: Loader = self._database.loader(destination)
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
        refused = self._tally(checked, np.flatnonzero(checked.good), 1)
        if checked.batch.origin is not None:
            self.counts.left_out += checked.batch.origin.left_out
            self._refuse_siblings(checked, refused)

    def _refuse_siblings(self, checked: Checked, lines: set[int]) -> None:
        """Of an input row that was made into several, all are refused with one."""
        siblings = np.flatnonzero(checked.good & np.isin(checked.lines, list(lines)))
        self._tally(checked, siblings, -1)
        checked.good[siblings] = False
        self.sample = [change for change in self.sample if change.line not in lines]

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
        counted_before = self._tally(checked, rows, -1)
        checked.refuse_repeats(repeats)
        self._reject(checked.rejects[before:], set(repeats) - counted_before)

    def _tally(self, checked: Checked, rows: Indices, sign: int) -> set[int]:
        """Count these rows (or take them back); returns the lines of those that are rejects by themselves."""
        lines: set[int] = set()
        for indices, group in by_absence(checked.rows, rows, checked.absent):
            if len(indices):
                lines |= self._tally_group(checked, indices, group, sign)
        return lines

    def _tally_group(self, checked: Checked, indices: Indices, rows: pa.Table, sign: int) -> set[int]:
        destination = self._destination.only(rows.column_names)
        words = Words(checked, destination)
        found = Compared() if words.cannot_insert else self._compare(destination, rows, first=sign > 0)
        rejects = [(int(index), words.lacking) for index in indices] if words.cannot_insert else []
        rejects += [(int(indices[refused.index]), refused.message) for refused in found.refused]
        rejects += [(int(indices[row]), words.known(int(indices[row]))) for row in found.known]
        rejects += [(int(indices[row]), words.unknown(int(indices[row]))) for row in found.unknown]
        lines = {int(checked.lines[index]) for index, _ in rejects}
        self.counts.update += sign * found.changed
        self.counts.unchanged += sign * found.unchanged
        self.counts.create += sign * (len(indices) - found.changed - found.unchanged - len(rejects))
        add_changes(self.columns, found.columns, sign)
        if sign > 0:
            self._reject([words.refuse(index, message) for index, message in rejects], lines)
            self._show(checked, indices, found)
        return lines

    def _compare(self, destination: Destination, rows: pa.Table, first: bool) -> Compared:
        if not self._compares:
            return Compared(unknown=[] if destination.creates else list(range(rows.num_rows)))
        comparison = self._comparisons.get(tuple(destination.columns))
        if comparison is None:
            comparison = Comparison(self._database, destination, self._loader)
            self._comparisons[tuple(destination.columns)] = comparison
        wanted = SAMPLE_SIZE - len(self.sample) if first else 0
        with self._job.target.begin() as connection:  # writes to a temporary table only
            return comparison.compare(connection, rows, wanted)

    def _show(self, checked: Checked, rows: Indices, found: Compared) -> None:
        for change in found.changes:
            line = int(checked.lines[rows[change.row]])
            self.sample.append(
                SampledChange(line=line, key=change.key, column=change.column, before=change.before, after=change.after)
            )

    def _reject(self, rejects: list[Reject], lines: set[int]) -> None:
        self.counts.reject += len(lines)
        for reject in rejects:
            self._job.reject(reject.line, reject.column, reject.message, reject.row)
        if rejects and (len(self.rejects) < SAMPLE_SIZE or min(one.line for one in rejects) < self.rejects[-1].line):
            shown = [SampledReject(line=one.line, column=one.column, message=one.message) for one in rejects]
            self.rejects = sorted([*self.rejects, *shown], key=lambda one: one.line)[:SAMPLE_SIZE]
