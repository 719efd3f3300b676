"""An import that is cut into partitions leaves the table, the counts and the rejects of one that is not."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobRun
from batch_jobs.strategies.sdk.partition import PartitionState
from batch_jobs.strategies.sdk.partition_checkpoint import PartitionCheckpoints
from batch_jobs.strategies.sdk.partition_run import CLAIM, OneByOne, run_partition
from batch_jobs.strategies.sdk.partition_table import PartitionTable
from batch_jobs.strategies.sdk.partitioning import PartitionsFailed
from batch_jobs.strategies.sdk.sessions import Session
from batch_jobs.strategies.tables.formats import csv as csv_format
from batch_jobs.strategies.tables.formats.csv_reading import CsvReader
from support.importing import Importing

RunSql = Callable[[str], list[tuple[Any, ...]]]


class InAnyOrder(OneByOne):
    """Runs partitions in another order than the input's, so many at once."""

    def __init__(self, size: int, at_once: int = 1) -> None:
        super().__init__(size)
        self._at_once = at_once

    def run(self, strategy: BatchJobStrategy, job: JobRun, table: PartitionTable) -> None:
        identity = JobIdentity(job.id, job.type, job.context, job.dry_run, job.attempt, job.created_by)

        def run_one(state: PartitionState) -> None:
            checkpoints = PartitionCheckpoints(job.target, Session(job.id, CLAIM, state.number), ("here", 1))
            run_partition(strategy, identity, job.plan, job.parts_of(state, checkpoints), checkpoints)

        states = table.read()
        random.Random(7).shuffle(states)
        with ThreadPoolExecutor(self._at_once) as pool:
            list(pool.map(run_one, states))


@pytest.fixture
def target(postgres_target: Engine) -> Engine:
    return postgres_target


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a small file be one of many blocks."""
    monkeypatch.setattr(csv_format, "CsvReader", lambda source, options: CsvReader(source, options, block=64))
    return
