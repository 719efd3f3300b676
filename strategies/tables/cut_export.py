"""Exports that may be cut: their parts are written beside each other from one snapshot, and put together in order."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy import Connection
from ulid import ULID

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.partition import Partition, in_one, parts_folder
from batch_jobs.strategies.tables.exporting import Export
from batch_jobs.strategies.tables.ranges import NotCut

#: Rows below which a part would take longer to begin than to write.
ROWS_A_PART = 50_000
#: Parts for each of those that are worked on at a time, where a part does not have to look at all rows: the counts of
#: a part are seen when it is in.
PARTS_AT_A_TIME = 4


class CutExport(BatchJobStrategy, abstract=True):
    """Writes a file, whole or in parts.

    A subclass says which file (``export_of``), how it is cut (``ranges``, JSON values with ``after``, which only the
    first one has not) and writes its rows (``write_rows``), those of ``job.partition`` where there is one.
    """

    #: The parts of one file are of one snapshot, which ends with the process that has the job.
    keeps_partitions: ClassVar[bool] = False
    #: Rows that a part has at least.
    rows_a_part: ClassVar[int] = ROWS_A_PART

    def export_of(self, job: JobRun) -> Export:
        """The file that the job writes."""
        raise NotImplementedError

    def ranges(self, job: JobRun, size: int) -> list[dict[str, Any]]:
        """Which rows each part has, in the order of the file.

        Raises:
            NotCut: says why the file cannot be written in parts.
        """
        raise NotImplementedError

    def write_rows(self, job: JobRun, export: Export, snapshot: str | None) -> None:
        """Write the rows of the job, or of its partition, as they are in a snapshot."""
        raise NotImplementedError

    def shared(self, job: JobRun, connection: Connection) -> dict[str, Any]:
        """What all parts have to know of the whole, as a JSON value."""
        return {}

    def partition(self, job: JobRun, size: int) -> list[Partition]:
        """Cut what is large into parts of one snapshot, where the file is the same then; the summary says why not."""
        if size > 1 or job.attempt > 1:
            _remove_parts(job)  # of an earlier attempt
        if size < 2:
            return []
        try:
            self._require_parts(job)
            plans = self.ranges(job, size)
            if len(plans) < 2:
                raise NotCut(f"a part has at least {self.rows_a_part:,} rows")
        except NotCut as reason:
            return in_one(job, str(reason))
        rows = (job.progress.total or 0) // len(plans)
        names = [f"part {number} of {len(plans)}" for number in range(1, len(plans) + 1)]
        return [Partition(name, plan, rows) for name, plan in zip(names, plans, strict=True)]

    @contextmanager
    def around_partitions(self, job: JobRun) -> Iterator[Any]:
        """Keep a snapshot open that all parts are read from; parts have a name that no other attempt's have."""
        source = database_of(job.target).source(job.target)
        with source.reading() as connection:
            snapshot = source.export_snapshot(connection)
            yield {"snapshot": snapshot, "parts": str(ULID()), **self.shared(job, connection)}

    def process(self, job: JobRun) -> None:
        """Write the file from one snapshot; a stopped or failed export leaves none."""
        if job.partition is None:
            self.write_rows(job, self.export_of(job), None)
        elif job.checkpoint is None:  # a part that is in was written whole
            self.write_rows(job, self.export_of(job), job.shared["snapshot"])

    def post_process(self, job: JobRun) -> None:
        """Put the parts together, where there are some."""
        if job.shared is not None:
            self.export_of(job).join(job.shared["parts"])
            job.progress.total = job.progress.elsewhere.advanced  # others may have written since they were counted
            _remove_parts(job)

    def on_failure(self, job: JobRun, error: BaseException) -> None:
        """Leave no parts."""
        _remove_parts(job)

    def on_cancel(self, job: JobRun) -> None:
        """Leave no parts."""
        _remove_parts(job)

    def parts_of(self, job: JobRun, size: int) -> int:
        """How many parts of enough rows there are."""
        return min(size, (job.progress.total or 0) // self.rows_a_part)

    def _require_parts(self, job: JobRun) -> None:
        if not database_of(job.target).shares_snapshots:
            raise NotCut(f"{job.target.dialect.name} has no snapshot that several processes can read")
        for name in ("process", "post_process"):
            if getattr(type(self), name) is not getattr(CutExport, name):
                raise NotCut(f"{type(self).__name__} has a {name} of its own")
        self.export_of(job).require_parts()


def _remove_parts(job: JobRun) -> None:
    job.files.remove(parts_folder(job.id))
