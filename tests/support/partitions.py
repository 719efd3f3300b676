"""Running the partitions of a job in other ways than one after the other in their order."""

import os
import random
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.job import JobIdentity, JobRun
from batch_jobs.strategies.sdk.partition import PartitionState
from batch_jobs.strategies.sdk.partition_checkpoint import PartitionCheckpoints
from batch_jobs.strategies.sdk.partition_run import OneByOne, run_partition
from batch_jobs.strategies.sdk.partition_table import PartitionTable
from batch_jobs.strategies.sdk.sessions import Session


class InThisProcess(OneByOne):
    """One after the other in their order, for the attempt that the job is at."""

    def table(self, job: JobRun) -> PartitionTable:
        """As the attempt has them."""
        return PartitionTable(job.target, job.id, job.attempt)

    def run(self, strategy: BatchJobStrategy, job: JobRun, table: PartitionTable) -> None:
        """Run all."""
        for state in table.read():
            run_state(strategy, job, state)


def run_state(strategy: BatchJobStrategy, job: JobRun, state: PartitionState) -> str:
    """One execution of a partition of the job, with its own session."""
    identity = JobIdentity(job.id, job.type, job.context, job.dry_run, job.attempt, job.created_by)
    session = Session(job.id, job.attempt, state.number)
    checkpoints = PartitionCheckpoints(job.target, session, (socket.gethostname(), os.getpid()))
    return run_partition(strategy, identity, job.plan, job.parts_of(state, checkpoints), checkpoints)


class InOrder(InThisProcess):
    """One after the other, in an order of the test's.

    Args:
        size: how many the strategy is to cut for.
        arrange: gives the order.
    """

    def __init__(self, size: int, arrange: Callable[[Sequence[PartitionState]], Sequence[PartitionState]]) -> None:
        super().__init__(size)
        self._arrange = arrange

    def run(self, strategy: BatchJobStrategy, job: JobRun, table: PartitionTable) -> None:
        """Run all in that order."""
        for state in self._arrange(table.read()):
            run_state(strategy, job, state)


def backwards(size: int) -> InOrder:
    """The last one first."""
    return InOrder(size, lambda states: list(reversed(states)))


def shuffled(size: int, seed: int) -> InOrder:
    """In any order."""
    return InOrder(size, lambda states: random.Random(seed).sample(states, len(states)))


class AtOnce(InThisProcess):
    """All at the same time, each in a thread."""

    def run(self, strategy: BatchJobStrategy, job: JobRun, table: PartitionTable) -> None:
        """Run all."""
        with ThreadPoolExecutor(len(states := table.read())) as pool:
            for done in [pool.submit(run_state, strategy, job, state) for state in states]:
                done.result()
