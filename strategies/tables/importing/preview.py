"""The first look at a whole file: what will become of each row, and everything that is wrong with it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.tables.databases.loading import Destination
from batch_jobs.strategies.tables.importing.comparing import SAMPLE_SIZE, Compared, Comparison
from batch_jobs.strategies.tables.importing.keys import Hashes, KeyHashes, key_hashes
from batch_jobs.strategies.tables.importing.plan import Counts, SampledChange
from batch_jobs.strategies.tables.importing.repeats import FirstLines, write_repeat
from batch_jobs.strategies.tables.prefetch import prefetched
from batch_jobs.strategies.tables.values.converting import Checked

Indices = npt.NDArray[np.int64]
Look = Callable[[], Iterator[Checked]]


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
        self.sample: list[SampledChange] = []
        self.total = 0
        self._job = job
        self._look = look
        self._destination = destination
        self._comparison = Comparison(database_of(job.target), destination) if compares else None

    def run(self) -> str | None:
        """Look; returns the key of the file of repeated rows, ``None`` when there are none."""
        with ExitStack() as open_things:
            hashes = open_things.enter_context(KeyHashes())
            with prefetched(self._look()) as batches:
                for checked in batches:
                    self._first_look(checked, hashes)
            repeated = hashes.repeated()
            return self._look_again(repeated) if len(repeated) else None

    def _first_look(self, checked: Checked, hashes: KeyHashes) -> None:
        self._job.stop_if_asked()
        self.total += checked.count
        self._reject(checked.rejects, {reject.line for reject in checked.rejects})
        good = np.flatnonzero(checked.good)
        if self._destination.key:
            hashes.add(_hashes(checked)[good])
        self._tally(checked, good, 1)

    def _look_again(self, repeated: Hashes) -> str | None:
        key = f"jobs/{self._job.id}/repeated-keys.txt"
        found = 0
        with ExitStack() as open_things:
            first_lines = open_things.enter_context(FirstLines())
            stream = open_things.enter_context(self._job.files.writing(key))
            for checked in open_things.enter_context(prefetched(self._look())):
                repeats = _repeats(checked, repeated, first_lines)
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
        if self._comparison is None or not len(rows):
            self.counts.create += sign * len(rows)
            return set()
        found = self._compare(checked.rows.take(pa.array(rows)), first=sign > 0)
        rejects = [(refused.index, refused.message) for refused in found.refused]
        rejects += [(index, self._already(checked, int(rows[index]))) for index in found.known]
        lines = {int(checked.lines[rows[index]]) for index, _ in rejects}
        self.counts.update += sign * found.changed
        self.counts.unchanged += sign * found.unchanged
        self.counts.create += sign * (len(rows) - found.changed - found.unchanged - len(rejects))
        if sign > 0:
            self._reject([checked.refuse(int(rows[index]), message) for index, message in rejects], lines)
            self._show(checked, rows, found)
        return lines

    def _compare(self, rows: pa.Table, first: bool) -> Compared:
        assert self._comparison is not None
        wanted = SAMPLE_SIZE - len(self.sample) if first else 0
        with self._job.target.begin() as connection:  # writes to a temporary table only
            return self._comparison.compare(connection, rows, wanted)

    def _already(self, checked: Checked, index: int) -> str:
        return f"key {checked.key_text(index)} is already in {self._destination.table.fullname}"

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


def _hashes(checked: Checked) -> Hashes:
    return key_hashes(checked.key_columns())


def _repeats(checked: Checked, repeated: Hashes, first_lines: FirstLines) -> dict[int, int]:
    hashes = _hashes(checked)
    places = np.minimum(np.searchsorted(repeated, hashes), len(repeated) - 1)
    found: dict[int, int] = {}
    for index in np.flatnonzero((repeated[places] == hashes) & checked.good).tolist():
        line = int(checked.lines[index])
        first = first_lines.earlier(checked.key_at(index), line)
        if first is not None:
            found[line] = first
    return found
