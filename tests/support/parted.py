"""Jobs of the strategy ``parted`` in real processes: what they have written, and which processes work on them."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine, text

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.partition import PartitionState, PartitionStatus
from batch_jobs.strategies.sdk.partition_table import PartitionTable
from batch_jobs.strategies.sdk.result import JobResult
from support.runs import RunProcess, Runs
from support.servers import wait_until

STRATEGIES = Path(__file__).parent / "strategies"
SECONDS = 240.0
#: The jobs of these tests, unless they say otherwise.
PARTITIONS, ROWS = 5, 40
CLEAN = PARTITIONS * ROWS


def numbers_of(bind: Engine, job_id: str) -> list[int]:
    """The numbers that a job has written, each as often as it has written it."""
    with bind.connect() as connection:
        return list(connection.scalars(text("SELECT n FROM parted WHERE job_id = :id ORDER BY n"), {"id": job_id}))


def outcome_of(bind: Engine, files: FileStore, job_id: str, result: JobResult) -> dict[str, Any]:
    """All that is the same for every run of one context, however it went."""
    lines = {line.key: line.message for line in result.stat_descriptors}
    return {
        "numbers": numbers_of(bind, job_id),
        "counts": (result.count, result.advancement_count, result.progress, result.created, result.rejected),
        "rejects": _read(files, result.rejects_file_key),
        "output": _read(files, result.file_key),
        "refused": lines.get("refused"),
    }


def _read(files: FileStore, key: str | None) -> bytes:
    if key is None:
        return b""
    with files.open(key) as stream:
        return stream.read()


class PartedRuns(Runs):
    """Jobs of one workspace on PostgreSQL, each run in a process of its own, with the task runner of the settings."""

    def new(self, **context: Any) -> Job:
        return self.workspace.service.record("parted", context)

    def get(self, job: Job) -> Job:
        return self.workspace.service.get(job.id)

    def outcome(self, job: Job) -> dict[str, Any]:
        return outcome_of(self.workspace.target, self.workspace.files, job.id, self.get(job).result)

    def states(self, job: Job) -> list[PartitionState]:
        return PartitionTable(self.workspace.target, job.id, 0).read()

    def state(self, job: Job, number: int) -> PartitionState:
        return self.states(job)[number - 1]

    def at_work(self, job: Job) -> list[PartitionState]:
        """The partitions that processes have which live."""
        running = [state for state in self.states(job) if state.status is PartitionStatus.RUNNING]
        return [state for state in running if state.pid and psutil.pid_exists(state.pid)]

    def until(self, job: Job, condition: Callable[[], bool], process: RunProcess, what: str) -> None:
        """Wait for something, as long as the job's process lives."""
        wait_until(lambda: condition() or process.poll() is not None, SECONDS, what)
        assert condition(), f"the process ended before {what}: {process.errors()[-3000:]}, {self.get(job)}"

    def rows(self, job: Job) -> int:
        """How many rows it has written."""
        return sum(state.counters.created for state in self.states(job))

    def ended(self, process: RunProcess) -> int:
        return process.wait(int(SECONDS))


def signal_to(pid: int | None, number: signal.Signals) -> bool:
    """Send a signal to a process where there is one."""
    with suppress(ProcessLookupError):
        os.kill(pid or 0, number)
        return bool(pid)
    return False


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def parted_runs(url: str, folder: Path, prefect: dict[str, str], **more: Any) -> Iterator[PartedRuns]:
    """A workspace with its jobs and its target in one database; ``more`` are settings in lower case."""
    given: dict[str, Any] = {
        "home": folder / "home",
        "database_url": url,
        "target_url": url,
        "strategies": str(STRATEGIES),
        "task_runner": "processes",
        "partitions": 2,
        "heartbeat_timeout": 20,
        **more,
    }
    workspace = Workspace(Settings(**given))
    values = {f"BATCH_JOBS_{name.upper()}": str(value) for name, value in given.items()}
    yield PartedRuns(workspace, {**os.environ, **prefect, **values})
    workspace.jobs.dispose()
    workspace.target.dispose()


def children_of(pid: int) -> Sequence[psutil.Process]:
    """All that a process has started and that lives."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def with_settings(runs: PartedRuns, **settings: Any) -> PartedRuns:
    """The same jobs, run with other settings, given in lower case."""
    values = {f"BATCH_JOBS_{name.upper()}": str(value) for name, value in settings.items()}
    return PartedRuns(runs.workspace, {**runs.environment, **values})


def kill_at_random(runs: PartedRuns, chance: random.Random, kills: int) -> None:
    """SIGKILL workers of jobs that run one after the other, so many times; each job is checked at its end."""
    left = kills
    while left:
        job = runs.new(partitions=PARTITIONS, rows=ROWS, per_chunk=2, seconds_per_chunk=0.05)
        process, shown = runs.claimed(job.id), 0
        while process.poll() is None:
            victims, chunks = runs.at_work(job), sum(state.chunk_number for state in runs.states(job))
            if left and victims and chunks > shown + chance.randrange(4):  # one that gets nowhere is given up
                left -= signal_to(chance.choice(victims).pid, signal.SIGKILL)
                shown = chunks
            time.sleep(chance.uniform(0, 0.2))
        assert runs.ended(process) == 0, process.errors()[-3000:]
        assert is_right(runs, job)


def is_right(runs: PartedRuns, job: Job) -> bool:
    """Whether a job has ended as one to which nothing happened."""
    numbers = [n for n in range(1, CLEAN + 1) if n % 7]
    assert runs.get(job).status is Status.COMPLETED, runs.get(job)
    found = runs.outcome(job)
    assert found["numbers"] == numbers
    assert found["counts"] == (CLEAN, CLEAN, 1.0, len(numbers), CLEAN // 7)
    assert found["output"] == b"".join(b"%d\n" % (ROWS * part) for part in range(1, PARTITIONS + 1))
    rejects = [line.split(b",")[1] for line in found["rejects"].splitlines()[1:]]
    assert rejects == [b"%d" % n for n in range(7, CLEAN + 1, 7)]
    return found["refused"] == "what 7 divides"
