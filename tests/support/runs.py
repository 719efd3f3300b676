"""Imports in real processes, killed for real."""

import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.workspace import Workspace
from support.servers import wait_until

#: What every run imports; names of installed modules, as that process does not look where pytest looks.
PRELOADED = [
    "prefect.flow_engine",
    "batch_jobs.flows.runs.flow",
    "batch_jobs.strategies.table_import",
    "batch_jobs.strategies.product_import",
    "batch_jobs.strategies.undo",
]
#: Forks real processes from one that has imported everything: a start takes tenths of a second instead of seconds.
FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(PRELOADED)


@dataclass(frozen=True)
class Moment:
    """So many seconds after a job has come as far as that, from 0 to 1; from its claim on it has come as far as 0."""

    progress: float
    after: float


def moments(chance: random.Random, seconds: float) -> Iterator[Moment]:
    """Random moments of a run that takes so many seconds: any time of it and, as they pass quickly, its chunks."""
    while True:
        yield Moment(0.0, chance.uniform(0, seconds))
        yield Moment(chance.random(), chance.uniform(0, seconds / 100))


class RunProcess:
    """A process that goes on with a job."""

    def __init__(self, job_id: str, environment: dict[str, str]) -> None:
        from support import run_job

        handle, name = tempfile.mkstemp(prefix="run-", suffix=".err")
        os.close(handle)
        self._errors = Path(name)
        self._process = FORKSERVER.Process(target=run_job.main, args=(job_id, environment, self._errors))
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float = 120) -> int:
        """Wait for the end and return the exit code, minus the signal's number when one ended it."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"still running after {timeout} s"
        return self._process.exitcode

    def errors(self) -> str:
        """What it said on stderr."""
        return self._errors.read_text(errors="replace")


@dataclass
class Runs:
    """Runs jobs of one workspace, each in a process of its own."""

    workspace: Workspace
    environment: dict[str, str]

    def start(self, job_id: str) -> RunProcess:
        """Go on with a job in a new process; for a job that is not new this is a retry."""
        return RunProcess(job_id, self.environment)

    def finish(self, job_id: str) -> Job:
        """Go on with a job until its process ends by itself."""
        process = self.start(job_id)
        code = process.wait()
        assert code == 0, process.errors()[-3000:]
        return self.workspace.service.get(job_id)

    def timed(self, job_id: str) -> tuple[Job, float]:
        """Go on with a job to its end; the seconds are those from its claim until it was completed."""
        process = self.claimed(job_id)
        since = time.monotonic()
        wait_until(
            lambda: self.workspace.service.get(job_id).status is Status.COMPLETED or process.poll() is not None,
            what="the job's end",
        )
        seconds = time.monotonic() - since
        assert process.wait() == 0, process.errors()[-3000:]
        return self.workspace.service.get(job_id), seconds

    def kills(self, job_id: str, at: Iterable[Moment], most: int) -> Iterator[Job]:
        """Go on with a job to its end, killing its processes at these moments; yield it after each.

        After ``most`` kills it is left alone: on a machine that got slow, no moment may be late enough to let it end.
        """
        for moment in islice(at, most):
            if not self.killed(job_id, moment):
                return
            yield self.workspace.service.get(job_id)
        self.finish(job_id)

    def killed(self, job_id: str, moment: Moment) -> bool:
        """Go on with a job and kill its process at this moment of it; ``False`` if it had ended by then."""
        process = self.claimed(job_id)
        wait_until(
            lambda: self.workspace.service.get(job_id).result.progress >= moment.progress or process.poll() is not None,
            what=f"a progress of {moment.progress}",
        )
        deadline = time.monotonic() + moment.after
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.001)
        if process.poll() is not None:
            assert process.poll() == 0, process.errors()
            return False
        kill(process)
        return self.workspace.service.get(job_id).status is not Status.COMPLETED

    def claimed(self, job_id: str) -> RunProcess:
        """Go on with a job in a new process, and return when that has claimed it."""
        before = self.claim(job_id)
        process = self.start(job_id)
        wait_until(lambda: process.poll() is not None or self.claim(job_id) != before, what="the run's beginning")
        return process

    def claim(self, job_id: str) -> int | None:
        """The claim of the process that runs the job, or ran it last."""
        return self.workspace.service.get(job_id).claim


def kill(process: RunProcess) -> None:
    """SIGKILL, and wait until the process is gone."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
