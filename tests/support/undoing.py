"""Undos by themselves, without Prefect and without a job table."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.partition_run import OneByOne
from batch_jobs.strategies.sdk.testing import new_job, prepared
from batch_jobs.strategies.undo import Undo
from support.importing import Importing


@dataclass
class Undoing:
    """Undoes jobs of the target."""

    importing: Importing
    chunk_size: int = 3

    @property
    def target(self) -> Engine:
        return self.importing.target

    def preview(self, job_id: str, **context: Any) -> JobRun:
        strategy = Undo()
        given = prepared(strategy, {"job": job_id, **context})
        job = new_job(strategy, given, self.target, self.importing.files, self.chunk_size)
        hooks.pre_process(strategy, job)
        return job

    def __call__(self, job_id: str, **context: Any) -> JobRun:
        job = self.preview(job_id, **context)
        self.process(job)
        return job

    def process(self, job: JobRun) -> None:
        hooks.process(Undo(), job, OneByOne(1))

    def rejects(self, job: JobRun) -> list[str]:
        return self.importing.rejects(job.result)

    def table(self, name: str, order: str = "1") -> list[tuple[Any, ...]]:
        with self.target.connect() as connection:
            return [tuple(row) for row in connection.execute(text(f"SELECT * FROM {name} ORDER BY {order}"))]


def imported(importing: Importing, content: str, **context: Any) -> JobRun:
    """The job of an import."""
    job = importing.preview(content, **context)
    hooks.process(importing.strategy, job)
    return job
