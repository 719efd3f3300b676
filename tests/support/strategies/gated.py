"""Strategies for the scenarios: they write a tally, one row a chunk, and wait or fail where they are told to."""

import time
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import text

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.job import JobRun

LOOK_SECONDS = 0.02


class GatedContext(BaseModel):
    """How many rows, and what happens at the row ``gate_at``."""

    limit: int = 4
    gate: str | None = None
    gate_at: int = 2
    inside: bool = False
    fails: int = 0
    key: str = ""


class Tallying(BatchJobStrategy, abstract=True):
    Context = GatedContext

    def pre_process(self, job: JobRun) -> None:
        job.progress.total = job.context.limit
        job.describe("to-write", "To write", f"{job.context.limit} rows will be written")

    def process(self, job: JobRun) -> None:
        for i in range((job.checkpoint or 0) + 1, job.context.limit + 1):
            if i == job.context.gate_at and not job.context.inside:
                self._wait(job)
            with job.chunk(cursor=i) as connection:
                row = {"job": job.id, "i": i, "attempt": job.attempt}
                connection.execute(text("INSERT INTO tally VALUES (:job, :i, :attempt)"), row)
                job.count(created=1)
                if i == job.context.gate_at and job.context.inside:
                    self._wait(job)
                if i == job.context.gate_at and job.attempt <= job.context.fails:
                    raise ConnectionError(f"the line broke in attempt {job.attempt}")

    def should_retry(self, job: JobRun, error: Exception) -> bool:
        return isinstance(error, ConnectionError)

    def on_cancel(self, job: JobRun) -> None:
        job.describe("tidied", "Tidied", "on_cancel has run")

    def build_template(self) -> str:
        return ""

    def _wait(self, job: JobRun) -> None:
        if job.context.gate is None:
            return
        job.save()  # what waits at a gate is to be seen there
        Path(f"{job.context.gate}.reached").touch()
        while not Path(job.context.gate).exists():
            time.sleep(LOOK_SECONDS)


class Gated(Tallying):
    """Write a tally and wait at a gate."""

    identifier = "gated-strategy"
    batch_type = "gated"
    max_retries = 2
    retry_delay = 0.5


class Patient(Tallying):
    """Wait long before the next attempt."""

    identifier = "patient-strategy"
    batch_type = "patient"
    max_retries = 2
    retry_delay = 600.0


class Single(Tallying):
    """One at a time; a second one is refused."""

    identifier = "single-strategy"
    batch_type = "single"
    unique = "type"


class Queued(Tallying):
    """One of each key at a time; a second one queues."""

    identifier = "queued-strategy"
    batch_type = "queued"
    on_duplicate = "queue"

    @staticmethod
    def unique(context: GatedContext) -> str:
        return context.key


class Narrow(Tallying):
    """Prefect works on one at a time."""

    identifier = "narrow-strategy"
    batch_type = "narrow"
    concurrency_limit = 1
