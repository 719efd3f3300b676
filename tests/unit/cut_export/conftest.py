from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.partition_checkpoint import PartitionCheckpoints
from batch_jobs.strategies.sdk.partition_run import OneByOne
from batch_jobs.strategies.sdk.partitioning import Partitioning
from batch_jobs.strategies.sdk.testing import new_job, prepared
from batch_jobs.strategies.tables.cut_export import CutExport
from support.partitions import InAnyOrder


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
        """The file of an export that is cut; ``meanwhile`` is done before each part."""

        def begun(*arguments: Any) -> PartitionCheckpoints:
            meanwhile()
            return PartitionCheckpoints(*arguments)

        job = self.run(strategy, InAnyOrder(size, at_once=3, checkpoints=begun), **context)
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

    def run(self, strategy: type[CutExport], partitioning: Partitioning | None, **context: Any) -> JobRun:
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
