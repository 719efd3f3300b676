"""A job that is cut into partitions: they are planned once, run beside each other, and added up."""

from collections.abc import Iterable
from typing import Any, Protocol

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import BatchJobError, PermanentError, StrategyIncomplete
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.json_values import require_json, storable
from batch_jobs.strategies.sdk.partition import Partition, PartitionState, PartitionStatus
from batch_jobs.strategies.sdk.partition_table import PartitionTable
from batch_jobs.strategies.sdk.result import ErrorEntry

NAME_LENGTH = 255
MOST_ROWS = 1 << 63
SHOWN_FAILURES = 3


class PartitionsFailed(BatchJobError):
    """Some partitions of a job failed; the others are done."""

    def __init__(self, states: Iterable[PartitionState]) -> None:
        known = list(states)
        self.failed = [state for state in known if state.status is PartitionStatus.FAILED]
        self.may_pass = all(state.may_pass for state in self.failed)
        reasons = [f"{state.name}: {state.error.message if state.error else '?'}" for state in self.failed]
        more = f"; and {len(reasons) - SHOWN_FAILURES} more" if len(reasons) > SHOWN_FAILURES else ""
        super().__init__(
            f"{len(self.failed)} of {len(known)} partitions failed: {'; '.join(reasons[:SHOWN_FAILURES])}{more}"
        )

    @property
    def entries(self) -> list[ErrorEntry]:
        """Why each failed."""
        return [
            state.error.model_copy(update={"message": f"{state.name}: {state.error.message}"})
            for state in self.failed
            if state.error is not None
        ]


class PartitionsRefused(PartitionsFailed, PermanentError):
    """Some failed as no other attempt could do better."""


class Partitioning(Protocol):
    """How the partitions of a job are run."""

    #: How many at a time.
    size: int

    def require(self) -> None:
        """Refuse a job that is cut before it begins, where its partitions could not be run."""

    def table(self, job: JobRun) -> PartitionTable:
        """The job's partitions in the target."""

    def run(self, strategy: BatchJobStrategy, job: JobRun, table: PartitionTable) -> None:
        """Run what is not done, until each has ended or stopped.

        Raises:
            StopRequested: the job is to stop; its partitions have stopped.
        """


def cuts(strategy: type[BatchJobStrategy]) -> bool:
    """Whether a strategy may cut its jobs."""
    return strategy.partition is not BatchJobStrategy.partition


def is_cut(strategy: BatchJobStrategy, job: JobRun, partitioning: Partitioning) -> bool:
    """Whether the job has partitions; they are planned where it has not begun.

    Raises:
        StrategyIncomplete: what the strategy returned are no partitions.
        Superseded: a later attempt has the job.
    """
    if not cuts(type(strategy)):
        return False
    table = partitioning.table(job)
    is_planned = bool(table.read())
    if is_planned:
        table.take_over()
        if strategy.keeps_partitions:
            return True
    if job.chunks_done:
        return is_planned
    planned = strategy.partition(job, partitioning.size)
    _require(strategy, planned)
    if planned or is_planned:
        table.make()
        with job.fenced() as connection:
            table.plan(connection, planned)
    return bool(planned)


def run_partitions(strategy: BatchJobStrategy, job: JobRun, partitioning: Partitioning) -> None:
    """Run the partitions that are not done, and add up all.

    Raises:
        PartitionsFailed: some failed; the others are done.
        StopRequested: the job is to stop; its partitions have stopped.
    """
    table = partitioning.table(job)
    try:
        with strategy.around_partitions(job) as job.shared:
            require_json(job.shared, "what around_partitions yields")
            partitioning.run(strategy, job, table)
    finally:
        states = table.read()
        job.show_partitions(states)
    _describe(job, states)
    failed = [state for state in states if state.status is PartitionStatus.FAILED]
    if failed:
        is_refused = any(state.error is not None and state.error.refused for state in failed)
        raise PartitionsRefused(states) if is_refused else PartitionsFailed(states)


def _describe(job: JobRun, states: list[PartitionState]) -> None:
    """Add the summary lines of the partitions to the job's: what all of them say once, else with who says it."""
    lines: dict[tuple[str, str], dict[str, list[str]]] = {}
    for state in states:
        for line in state.described:
            lines.setdefault((line.key, line.name), {}).setdefault(line.message, []).append(state.name)
    for (key, name), messages in lines.items():
        if len(messages) == 1:
            job.describe(key, name, next(iter(messages)))
        else:
            job.describe(key, name, "; ".join(f"{', '.join(names)}: {said}" for said, names in messages.items()))


def _require(strategy: BatchJobStrategy, planned: Any) -> None:
    name = type(strategy).__name__
    if not isinstance(planned, list) or not all(isinstance(partition, Partition) for partition in planned):
        raise StrategyIncomplete(name, ["a partition() that returns a list of Partition"])
    names = [partition.name for partition in planned]
    if not all(map(_is_name, names)) or len(set(names)) < len(names):
        raise StrategyIncomplete(
            name, [f"names of its partitions that differ and are texts of 1 to {NAME_LENGTH} characters, without NUL"]
        )
    if not all(partition.rows is None or _is_count(partition.rows) for partition in planned):
        raise StrategyIncomplete(name, ["rows of its partitions that are whole numbers from 0 on, or None"])
    for partition in planned:
        require_json(partition.plan, f"the plan of the partition {partition.name}")


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= NAME_LENGTH and storable(name) == name


def _is_count(rows: Any) -> bool:
    return isinstance(rows, int) and 0 <= rows < MOST_ROWS
