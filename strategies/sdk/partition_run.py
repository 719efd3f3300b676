"""One execution of a partition, in whichever process; what becomes of it is in the target."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import StopRequested, Superseded
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.partition import OVER, PartitionStatus, plain_entry
from batch_jobs.strategies.sdk.partition_checkpoint import PartitionAbandoned, PartitionCheckpoints
from batch_jobs.strategies.sdk.partition_table import PartitionTable
from batch_jobs.strategies.sdk.result import ErrorEntry, JobResult
from batch_jobs.strategies.sdk.sessions import Session

#: Of a job that is run once, by nobody else.
CLAIM = 1


@dataclass(frozen=True)
class Guard:
    """What the hooks of a partition run in, and how their errors are recorded."""

    around: Callable[[], AbstractContextManager[None]] = field(default=lambda: nullcontext())
    entry: Callable[[BaseException], ErrorEntry] = plain_entry


def run_partition(
    strategy: BatchJobStrategy,
    identity: JobIdentity,
    plan: dict[str, object],
    parts: JobParts,
    checkpoints: PartitionCheckpoints,
    guard: Guard | None = None,
) -> str:
    """Do a partition's work from its checkpoint on; one that is done costs nothing.

    Args:
        strategy: of the job.
        identity: the job.
        plan: what its ``pre_process`` found.
        parts: what the partition works with, ``checkpoints`` and its state among them.
        checkpoints: the partition's.
        guard: for its hooks.

    Returns:
        How it stands: the status in the target, or ``superseded`` where somebody else has the partition by now.
    """
    assert parts.partition is not None
    if parts.partition.status in OVER:
        return parts.partition.status
    guard = guard or Guard()
    job = JobRun(identity, parts, JobResult(count=parts.partition.rows), plan)
    try:
        with guard.around():
            job.stop_if_asked()
            hooks.process(strategy, job)
    except StopRequested as stop:
        if stop.reason == "superseded":
            return stop.reason
        status = PartitionStatus.STOPPED
        checkpoints.end(status, job.result.stat_descriptors)
    except Superseded:
        return "superseded"
    except PartitionAbandoned:
        return PartitionStatus.FAILED
    except BaseException as error:
        status = PartitionStatus.FAILED
        with _as_it_was(error):
            may_pass = isinstance(error, Exception) and strategy.should_retry(job, error)
            checkpoints.end(status, job.result.stat_descriptors, guard.entry(error), may_pass)
        if not isinstance(error, Exception):
            raise
    else:
        status = PartitionStatus.COMPLETED
        checkpoints.end(status, job.result.stat_descriptors)
    return status


@contextmanager
def _as_it_was(error: BaseException) -> Iterator[None]:
    """Where an error cannot be noted, as the target is away, it is what counts."""
    try:
        yield
    except Exception as later:
        raise error from later


class OneByOne:
    """Runs partitions in this process, one after the other, as tests of strategies do.

    Args:
        size: how many the strategy is to cut for.
    """

    def __init__(self, size: int = 1) -> None:
        self.size = size

    def require(self) -> None:
        """Nothing is needed."""

    def table(self, job: JobRun) -> PartitionTable:
        """The job's partitions in the target."""
        return PartitionTable(job.target, job.id, CLAIM)

    def run(self, strategy: BatchJobStrategy, job: JobRun, table: PartitionTable) -> None:
        """Run what is not done; each once."""
        identity = JobIdentity(job.id, job.type, job.context, job.dry_run, job.attempt, job.created_by)
        for state in table.read():
            session = Session(job.id, CLAIM, state.number)
            checkpoints = PartitionCheckpoints(job.target, session, (socket.gethostname(), os.getpid()))
            parts = job.parts_of(state, checkpoints)
            run_partition(strategy, identity, job.plan, parts, checkpoints)
