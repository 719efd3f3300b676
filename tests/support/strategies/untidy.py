"""A strategy that leaves threads and processes behind, or forks its own: each way by its name."""

import atexit
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import text

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.job import JobRun

INSERT = text("INSERT INTO tally VALUES (:job, :i, :attempt)")


def hang() -> None:
    threading.Event().wait()


def square(number: int) -> int:
    return number * number


class Untidy(BatchJobStrategy):
    """Write two rows, one a chunk, and do in between what its context names."""

    identifier = "untidy-strategy"
    batch_type = "untidy"

    class Context(BaseModel):
        way: str
        folder: str
        method: str = ""

    def process(self, job: JobRun) -> None:
        Path(job.context.folder, "pid").write_text(str(os.getpid()))
        self._write(job, 1)
        getattr(self, f"_{job.context.way}")(job)
        self._write(job, 2)

    def build_template(self) -> str:
        return ""

    def _write(self, job: JobRun, i: int) -> None:
        with job.chunk(cursor=i) as connection:
            connection.execute(INSERT, {"job": job.id, "i": i, "attempt": job.attempt})

    def _thread(self, job: JobRun) -> None:
        threading.Thread(target=hang, name="left").start()

    def _pool(self, job: JobRun) -> None:
        ThreadPoolExecutor(1).submit(hang)

    def _exit_hook(self, job: JobRun) -> None:
        atexit.register(hang)

    def _child(self, job: JobRun) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(job.context.folder, "child").write_text(str(child.pid))

    def _worker_process(self, job: JobRun) -> None:
        multiprocessing.get_context("fork").Process(target=hang).start()

    def _fork(self, job: JobRun) -> None:
        """The child goes on as if it were the job's process, as a forgotten ``os._exit`` lets it."""
        if child := os.fork():
            Path(job.context.folder, "code").write_text(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))

    def _fork_within_a_chunk(self, job: JobRun) -> None:
        with job.chunk(cursor=1.5) as connection:
            if child := os.fork():
                Path(job.context.folder, "code").write_text(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
            connection.execute(INSERT, {"job": job.id, "i": 15, "attempt": job.attempt})

    def _fork_that_returns(self, job: JobRun) -> None:
        if os.fork() == 0:
            raise SystemExit(0)
        time.sleep(0.2)

    def _good_pool(self, job: JobRun) -> None:
        # a fresh interpreter does not know the files of strategies
        function = square if job.context.method == "fork" else abs
        with ProcessPoolExecutor(2, multiprocessing.get_context(job.context.method)) as pool:
            assert list(pool.map(function, (0, 1))) == [0, 1]
