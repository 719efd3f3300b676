"""A strategy that is cut: it writes numbers, refuses some, and is slow, waits, fails or dies where it is told to."""

import os
import signal
import time
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import text

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.partition import Partition

#: Each number that this divides is a reject.
REFUSED = 7
LOOK_SECONDS = 0.02


class Parted(BatchJobStrategy):
    """Write the numbers from 1 up, in partitions of so many rows."""

    identifier = "parted-strategy"
    batch_type = "parted"
    max_retries = 2
    retry_delay = 0.01

    class Context(BaseModel):
        partitions: int = 4
        rows: int = 50
        per_chunk: int = 10
        seconds_per_chunk: float = 0.0
        poisonous: int | None = None
        antidote: str = ""
        gated: int | None = None
        gate: str = ""
        inside: bool = True
        fails: int | None = None
        may_pass: bool = False

    def pre_process(self, job: JobRun) -> None:
        job.progress.total = max(job.context.partitions, 1) * job.context.rows
        job.describe("to-write", "To write", f"{job.progress.total} numbers")
        with job.target.begin() as connection:
            connection.execute(
                text("CREATE TABLE IF NOT EXISTS parted (job_id VARCHAR(64), n INTEGER, pid INTEGER, attempt INTEGER)")
            )

    def partition(self, job: JobRun, size: int) -> list[Partition]:
        rows = job.context.rows
        return [
            Partition(
                f"part {number}", {"number": number, "first": rows * (number - 1) + 1, "last": rows * number}, rows
            )
            for number in range(1, job.context.partitions + 1)
        ]

    def process(self, job: JobRun) -> None:
        plan = job.partition.plan if job.partition else {"number": 0, "first": 1, "last": job.progress.total}
        job.logger.info("the numbers from %s on", plan["first"])
        for first in range((job.checkpoint or plan["first"] - 1) + 1, plan["last"] + 1, job.context.per_chunk):
            last = min(first + job.context.per_chunk - 1, plan["last"])
            if not job.context.inside:
                self._obstruct(job, plan["number"])
            with job.chunk(cursor=last) as connection:
                self._write(job, connection, range(first, last + 1))
                if job.context.inside:
                    self._obstruct(job, plan["number"])
        job.describe("refused", "Refused", f"what {REFUSED} divides")
        job.describe("last", "Last", str(plan["last"]))
        with job.write_output("last.txt") as stream:
            stream.write(f"{plan['last']}\n".encode())

    def post_process(self, job: JobRun) -> None:
        if job.output_parts("last.txt"):
            with job.write_output("last.txt") as whole:
                for key in job.output_parts("last.txt"):
                    with job.files.open(key) as part:
                        whole.write(part.read())

    def should_retry(self, job: JobRun, error: Exception) -> bool:
        return job.context.may_pass and isinstance(error, ValueError)

    def build_template(self) -> str:
        return ""

    def _write(self, job: JobRun, connection: object, numbers: range) -> None:
        refused = [n for n in numbers if n % REFUSED == 0]
        for n in refused:
            job.reject(n, "n", f"{REFUSED} divides it", {"n": str(n)})
        rows = [
            {"job": job.id, "n": n, "pid": os.getpid(), "attempt": job.attempt} for n in numbers if n not in refused
        ]
        connection.execute(text("INSERT INTO parted VALUES (:job, :n, :pid, :attempt)"), rows)  # type: ignore[attr-defined]
        job.count(created=len(rows))
        job.progress.advance(len(numbers))
        time.sleep(job.context.seconds_per_chunk)

    def _obstruct(self, job: JobRun, number: int) -> None:
        context = job.context
        if number == context.gated:
            Path(f"{context.gate}.reached").touch()
            while not Path(context.gate).exists():
                time.sleep(LOOK_SECONDS)
        if number == context.poisonous and not Path(context.antidote).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        if number == context.fails and job.attempt == 1:
            raise ValueError(f"part {number} fails as asked")
