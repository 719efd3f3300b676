"""Imports by themselves, without Prefect and without a job table."""

from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine
from ulid import ULID

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.change_log import ChangeOptions
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.table_import import TableImport
from batch_jobs.strategies.tables.frames.frame_import import FrameImport


@dataclass
class Importing:
    """Imports texts into the target, in as many attempts as a test wants."""

    target: Engine
    files: FileStore
    chunk_size: int = 3
    strategy: FrameImport = field(default_factory=TableImport)
    jobs: list[JobRun] = field(default_factory=list)
    changes: ChangeOptions = field(default_factory=ChangeOptions)

    def put(self, content: str | bytes, name: str = "in.csv") -> str:
        return self.files.put(BytesIO(content.encode() if isinstance(content, str) else content), name)

    def job(self, content: str | bytes, *, name: str = "in.csv", **context: Any) -> JobRun:
        return self.job_of(self.strategy.Context(file_key=self.put(content, name), **context))

    def job_of(self, context: Any) -> JobRun:
        return self._run_of(f"batch_{ULID()}", self.strategy.prepare(context), 1, None)

    def again(self, job: JobRun) -> JobRun:
        return self._run_of(job.id, job.context, job.attempt + 1, job)

    def broken_off(self, job: JobRun, at: int) -> JobRun:
        """Run a job that fails at its n-th chunk, and then another attempt to its end."""
        hooks.pre_process(self.strategy, job)
        writing, numbers = job.chunk, count(1)

        def break_off(cursor: Any) -> Any:
            if next(numbers) == at:
                raise ZeroDivisionError
            return writing(cursor)

        job.chunk = break_off  # type: ignore[method-assign]
        with pytest.raises(ZeroDivisionError):
            hooks.process(self.strategy, job)
        again = self.again(job)
        hooks.process(self.strategy, again)
        return again

    def preview(self, content: str | bytes, **context: Any) -> JobRun:
        job = self.job(content, **context)
        hooks.pre_process(self.strategy, job)
        return job

    def __call__(self, content: str | bytes, **context: Any) -> JobResult:
        job = self.preview(content, **context)
        hooks.process(self.strategy, job)
        return job.result

    def rejects(self, result: JobResult) -> list[str]:
        if result.rejects_file_key is None:
            return []
        with self.files.open(result.rejects_file_key) as stream:
            return stream.read().decode().splitlines()

    def _run_of(self, job_id: str, context: Any, attempt: int, before: JobRun | None) -> JobRun:
        checkpoints = CheckpointStore(self.target, job_id, attempt)
        parts = JobParts(self.target, self.files, checkpoints, chunk_size=self.chunk_size, changes=self.changes)
        identity = JobIdentity(job_id, self.strategy.batch_type, context, attempt=attempt)
        job = JobRun(identity, parts, before.result if before else None, before.plan if before else None)
        self.jobs.append(job)
        return job
