"""A strategy for the tests of flows: it writes numbers, and fails, waits or stops where it is told to."""

import os
import signal
import time
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import text

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.sdk.job import JobRun


class Counting(BatchJobStrategy):
    """Write the numbers up to a limit, one a chunk.

    Only this line is not shown.
    """

    identifier = "counting-strategy"
    batch_type = "counting"

    class Context(BaseModel):
        limit: int = 5
        fail_at: int | None = None
        kill_in: str | None = None
        wait_for: str | None = None
        labels: list[str] = []

    def prepare(self, context: Context) -> Context:
        if context.limit < 0:
            raise ContextRefused("limit is below 0; give how many numbers to write")
        return context

    def pre_process(self, job: JobRun) -> None:
        job.progress.total = job.context.limit
        job.describe("numbers", "Numbers", f"{job.context.limit} numbers will be written")
        job.plan["attempt"] = job.attempt
        self._die(job, "pre_process")

    def process(self, job: JobRun) -> None:
        job.logger.info("counting to %s", job.context.limit)
        with job.target.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS numbers (i INTEGER, attempt INTEGER)"))
        for number in range((job.checkpoint or 0) + 1, job.context.limit + 1):
            with job.chunk(cursor=number) as connection:
                connection.execute(text("INSERT INTO numbers VALUES (:i, :a)"), {"i": number, "a": job.attempt})
                job.count(created=1)
                if number == job.context.fail_at and job.attempt == 1:
                    raise ValueError("as asked\nin two lines")
            if number == 2:
                self._wait(job)
        self._die(job, "process")

    def post_process(self, job: JobRun) -> None:
        self._die(job, "post_process")
        with job.write_output("numbers.txt") as stream:
            stream.write(b"done")

    def build_template(self) -> str:
        return "limit\n5\n"

    def on_cancel(self, job: JobRun) -> None:
        job.describe("canceled", "Canceled", f"after {job.result.advancement_count}")
        job.save()

    def _die(self, job: JobRun, where: str) -> None:
        if job.context.kill_in == where and job.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def _wait(self, job: JobRun) -> None:
        if job.context.wait_for:
            Path(job.context.wait_for + ".reached").touch()
            while not Path(job.context.wait_for).exists():
                time.sleep(0.02)
