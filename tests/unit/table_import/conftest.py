from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from ulid import ULID

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.table_import import TableImport


@dataclass
class Importing:
    """Imports texts into the target, in as many attempts as a test wants."""

    target: Engine
    files: FileStore
    chunk_size: int = 3
    jobs: list[JobRun] = field(default_factory=list)

    def put(self, content: str | bytes, name: str = "in.csv") -> str:
        return self.files.put(BytesIO(content.encode() if isinstance(content, str) else content), name)

    def job(self, content: str | bytes, *, name: str = "in.csv", **context: Any) -> JobRun:
        strategy = TableImport()
        prepared = strategy.prepare(strategy.Context(file_key=self.put(content, name), **context))
        return self._run_of(f"batch_{ULID()}", prepared, 1, None)

    def again(self, job: JobRun) -> JobRun:
        return self._run_of(job.id, job.context, job.attempt + 1, job)

    def preview(self, content: str | bytes, **context: Any) -> JobRun:
        job = self.job(content, **context)
        hooks.pre_process(TableImport(), job)
        return job

    def __call__(self, content: str | bytes, **context: Any) -> JobResult:
        job = self.preview(content, **context)
        hooks.process(TableImport(), job)
        return job.result

    def rejects(self, result: JobResult) -> list[str]:
        if result.rejects_file_key is None:
            return []
        with self.files.open(result.rejects_file_key) as stream:
            return stream.read().decode().splitlines()

    def _run_of(self, job_id: str, context: Any, attempt: int, before: JobRun | None) -> JobRun:
        parts = JobParts(
            self.target, self.files, CheckpointStore(self.target, job_id, attempt), chunk_size=self.chunk_size
        )
        identity = JobIdentity(job_id, "table-import", context, attempt=attempt)
        job = JobRun(identity, parts, before.result if before else None, before.plan if before else None)
        self.jobs.append(job)
        return job


@pytest.fixture
def importing(target: Engine, tmp_path: Path) -> Importing:
    return Importing(target, FileStore(str(tmp_path / "files")))


@pytest.fixture
def run_sql(target: Engine) -> Callable[[str], list[tuple[Any, ...]]]:
    def run(statement: str) -> list[tuple[Any, ...]]:
        with target.begin() as connection:
            found = connection.execute(text(statement))
            return [tuple(row) for row in found] if found.returns_rows else []

    return run


@pytest.fixture
def products(run_sql: Callable[[str], list[tuple[Any, ...]]]) -> Callable[[], list[tuple[Any, ...]]]:
    run_sql(
        "CREATE TABLE products (code VARCHAR(20) PRIMARY KEY, name TEXT NOT NULL, "
        "stock INTEGER CHECK (stock < 1000), note TEXT)"
    )
    run_sql("INSERT INTO products VALUES ('A', 'Apple', 1, 'keep'), ('B', 'Bread', 2, 'keep')")
    return lambda: run_sql("SELECT * FROM products ORDER BY code")
