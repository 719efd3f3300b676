"""Partitions in another order than the input's, several at once, and breaking off."""

import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import Checkpoint
from batch_jobs.strategies.sdk.job import JobIdentity, JobRun
from batch_jobs.strategies.sdk.partition import PartitionState
from batch_jobs.strategies.sdk.partition_checkpoint import PartitionCheckpoints
from batch_jobs.strategies.sdk.partition_run import run_partition
from batch_jobs.strategies.sdk.partition_table import PartitionTable
from batch_jobs.strategies.sdk.sessions import Session


@dataclass
class InAnyOrder:
    """Runs partitions in another order than the input's, so many at once; ``checkpoints`` makes those of each."""

    size: int = 3
    at_once: int = 1
    claim: int = 1
    checkpoints: Callable[..., PartitionCheckpoints] = PartitionCheckpoints

    def table(self, job: JobRun) -> PartitionTable:
        return PartitionTable(job.target, job.id, self.claim)

    def run(self, strategy: BatchJobStrategy, job: JobRun, table: PartitionTable) -> None:
        identity = JobIdentity(job.id, job.type, job.context, job.dry_run, job.attempt, job.created_by)

        def run_one(state: PartitionState) -> None:
            session = Session(job.id, self.claim, state.number)
            checkpoints = self.checkpoints(job.target, session, ("here", os.getpid()))
            run_partition(strategy, identity, job.plan, job.parts_of(state, checkpoints), checkpoints)

        states = table.read()
        random.Random(7).shuffle(states)
        with ThreadPoolExecutor(self.at_once) as pool:
            list(pool.map(run_one, states))


class BreakingOff(PartitionCheckpoints):
    """Fails at a partition's second chunk."""

    def save(self, connection: Any, checkpoint: Checkpoint) -> None:
        super().save(connection, checkpoint)
        if checkpoint.chunk_number == 2:
            raise ZeroDivisionError
