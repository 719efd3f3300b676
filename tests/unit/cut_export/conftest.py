import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.partition import PartitionState
from batch_jobs.strategies.sdk.partition_run import OneByOne
from batch_jobs.strategies.sdk.partition_table import PartitionTable
from batch_jobs.strategies.sdk.testing import new_job, prepared
from batch_jobs.strategies.tables.cut_export import CutExport


class OfOne(OneByOne):
    """Runs the partitions of one job in any order, several at a time, and something else before each."""

    def __init__(self, size: int, meanwhile: Callable[[], None], at_a_time: int) -> None:
        super().__init__(size)
        self._meanwhile, self._at_a_time = meanwhile, at_a_time

    def run(self, strategy: BatchJobStrategy, job: JobRun, table: PartitionTable) -> None:
        states = table.read()
        random.Random(len(states)).shuffle(states)
        with ThreadPoolExecutor(self._at_a_time) as threads:
            list(threads.map(lambda state: self._run_one(strategy, job, table, state), states))

    def _run_one(self, strategy: BatchJobStrategy, job: JobRun, table: PartitionTable, state: PartitionState) -> None:
        self._meanwhile()
        super().run(strategy, job, _Alone(table, state))  # type: ignore[arg-type]


@dataclass
class _Alone:
    table: PartitionTable
    state: PartitionState

    def read(self) -> list[PartitionState]:
        return [self.state]


@dataclass
class Exports:
    """Exports whole and in parts, from PostgreSQL."""

    target: Engine
    url: str
    store: FileStore
    said: dict[str, str] = field(default_factory=dict)

    def sql(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def whole(self, strategy: type[CutExport], **context: Any) -> bytes:
        return self.read(self.run(strategy, None, **context))

    def parts(
        self, strategy: type[CutExport], meanwhile: Callable[[], None] = lambda: None, size: int = 3, **context: Any
    ) -> bytes:
        """The file of an export that is cut."""
        job = self.run(strategy, OfOne(size, meanwhile, at_a_time=3), **context)
        assert len(job.result.partitions) > 1, self.said
        assert {partition.status for partition in job.result.partitions} == {"completed"}
        assert self.store.list(f"jobs/{job.id}/parts") == []
        assert job.result.progress == 1.0
        assert job.result.count == job.result.advancement_count == sum(one.advanced for one in job.result.partitions)
        return self.read(job)

    def not_cut(self, strategy: type[CutExport], **context: Any) -> str:
        """Why an export is not cut."""
        job = self.run(strategy, OneByOne(3), **context)
        assert job.result.partitions == []
        assert job.result.file_key
        return self.said["partitions"]

    def run(self, strategy: type[CutExport], partitioning: OneByOne | None, **context: Any) -> JobRun:
        job = self.job(strategy, **context)
        hooks.pre_process(strategy(), job)
        hooks.process(strategy(), job, partitioning)
        hooks.post_process(strategy(), job)
        self.said = {line.key: line.message for line in job.result.stat_descriptors}
        return job

    def job(self, strategy: type[CutExport], **context: Any) -> JobRun:
        return new_job(strategy(), prepared(strategy(), context), self.target, self.store)

    def read(self, job: JobRun) -> bytes:
        assert job.result.file_key
        with self.store.open(job.result.file_key) as stream:
            found = stream.read()
        assert job.result.file_size == len(found)
        return found


@pytest.fixture
def exports(postgres_url: str, tmp_path: Path) -> Any:
    engine = make_engine(postgres_url)
    yield Exports(engine, postgres_url.replace("+psycopg", ""), FileStore(str(tmp_path / "files")))
    engine.dispose()
