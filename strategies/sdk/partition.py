"""A part of a job that runs by itself, beside the others: what a strategy plans, and what is recorded of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from batch_jobs.strategies.sdk.errors import PermanentError
from batch_jobs.strategies.sdk.result import Counters, ErrorEntry, PartitionEntry, StatDescriptor

if TYPE_CHECKING:
    from batch_jobs.strategies.sdk.job import JobRun

#: Of one job at a time.
MOST_PARTITIONS = 1_000


@dataclass(frozen=True)
class Partition:
    """One part of a job's work, as ``BatchJobStrategy.partition`` cuts it (Spring Batch's word).

    Args:
        name: for people, unique in the job, such as ``lines 1-250,000``.
        plan: a JSON value that says which part it is.
        rows: how many rows it has, as far as that is known.
    """

    name: str
    plan: Any = None
    rows: int | None = None


class PartitionStatus(StrEnum):
    """Where a partition stands."""

    WAITING = "waiting"
    RUNNING = "running"
    STOPPED = "stopped"
    COMPLETED = "completed"
    FAILED = "failed"


#: Nothing becomes of these any more in this attempt.
OVER = frozenset({PartitionStatus.COMPLETED, PartitionStatus.FAILED})


@dataclass(frozen=True)
class PartitionState:
    """A partition as the target has it: times are UTC by the target's clock, ``execution`` counts who took it."""

    number: int
    name: str
    plan: Any
    rows: int | None
    status: PartitionStatus
    claim: int
    execution: int
    host: str | None
    pid: int | None
    heartbeat: datetime | None
    chunk_number: int
    counters: Counters
    described: list[StatDescriptor]
    error: ErrorEntry | None
    may_pass: bool
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def partition(self) -> Partition:
        """As its strategy planned it."""
        return Partition(self.name, self.plan, self.rows)

    @property
    def where(self) -> str | None:
        """The process that has it or had it last."""
        return f"{self.host}:{self.pid}" if self.host else None

    @property
    def rows_per_second(self) -> float | None:
        """Of the time since it was first begun."""
        until = self.ended_at or self.heartbeat
        seconds = (until - self.started_at).total_seconds() if until and self.started_at else 0.0
        return self.counters.advanced / seconds if seconds > 0 else None

    def entry(self) -> PartitionEntry:
        """As the job's result has it."""
        return PartitionEntry(
            name=self.name,
            status=self.status,
            rows=self.rows,
            advanced=self.counters.advanced,
            rows_per_second=self.rows_per_second,
            attempt=self.execution,
            where=self.where,
            error=self.error.message if self.error else None,
        )


def parts_folder(job_id: str, number: int | None = None) -> str:
    """Where in the file store partitions write their parts of a job's output, or one of them does."""
    folder = f"jobs/{job_id}/parts"
    return folder if number is None else f"{folder}/{number:06d}"


def plain_entry(error: BaseException) -> ErrorEntry:
    """An error as it says itself."""
    return ErrorEntry(message=str(error), code=type(error).__name__, refused=isinstance(error, PermanentError))


def in_one(job: "JobRun", reason: str) -> list[Partition]:
    """Say in a job's summary why it is not cut, and return what ``partition`` returns then."""
    job.describe("partitions", "Partitions", f"one: {reason}")
    return []
