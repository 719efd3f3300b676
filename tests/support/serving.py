"""A real ``batch-jobs serve`` or ``worker`` in a process of its own, beside a workspace on the same databases."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from sqlalchemy import text

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.prefect.address import Announcement, KnownPrefect, auth_string
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.command_line import COMMAND
from support.servers import give_database, wait_until

STRATEGIES = Path(__file__).parent / "strategies"
STARTED = "Ctrl-C stops"
SECONDS = 120.0


@dataclass
class Served:
    """Serves jobs of one workspace by real processes, and looks at what becomes of them."""

    folder: Path
    jobs_url: str
    target_url: str
    prefect: dict[str, str]
    heartbeat_timeout: float = 6.0
    confirm_timeout: float = 3600.0
    strategies: Path = STRATEGIES
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = {
            "HOME": str(self.folder / "home"),
            "DATABASE_URL": self.jobs_url,
            "TARGET_URL": self.target_url,
            "CHUNK_SIZE": "100",
            "STRATEGIES": str(self.strategies),
            "HEARTBEAT_TIMEOUT": str(self.heartbeat_timeout),
            "CONFIRM_TIMEOUT": str(self.confirm_timeout),
        }
        self.workspace = Workspace(Settings(**{name.lower(): value for name, value in self.settings.items()}))
        with self.workspace.target.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS tally (job_id TEXT, i INTEGER, attempt INTEGER)"))

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.prefect, **{f"BATCH_JOBS_{name}": value for name, value in self.settings.items()}}

    @property
    def own_prefect(self) -> KnownPrefect:
        """The Prefect that ``serve`` has started."""
        home = Path(self.settings["HOME"])
        note = Announcement.read(home)
        assert note is not None
        return KnownPrefect(note.api_url, "a test", auth_string(home))

    def start(self, command: str = "serve") -> subprocess.Popen[bytes]:
        """Start a server or a worker and wait until it takes up runs."""
        handle, name = tempfile.mkstemp(prefix=f"{command}-", suffix=".log", dir=self.folder)
        process = subprocess.Popen(
            [*COMMAND, command],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
        )
        os.close(handle)
        self.processes.append(process)
        log = Path(name)
        wait_until(lambda: STARTED in log.read_text() or process.poll() is not None, SECONDS, f"the start of {command}")
        assert process.poll() is None, log.read_text()
        return process

    def said(self) -> str:
        """What runs have printed, and the servers and workers have said, so far."""
        printed = self.folder / "home" / "runs.log"
        logs = [*([printed] if printed.exists() else []), *sorted(self.folder.glob("*-*.log"))]
        return "".join(log.read_text() for log in logs)

    def stop(self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> int:
        """Send a process a signal and wait for its end."""
        process.send_signal(number)
        return process.wait(timeout=SECONDS)

    def kill_with_runs(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL to a server or worker and everything it started: the machine is gone."""
        everything = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for one in everything:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait(timeout=SECONDS)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                self.kill_with_runs(process)
        self.workspace.jobs.dispose()
        self.workspace.target.dispose()

    def create(self, batch_type: str = "gated", dry_run: bool = False, **context: Any) -> Job:
        return self.workspace.service.create(batch_type, context, dry_run=dry_run)

    def get(self, job: Job) -> Job:
        return self.workspace.service.get(job.id)

    def until(self, job: Job, condition: Callable[[Job], bool], what: str, seconds: float = SECONDS) -> Job:
        """Wait until a job is as wished, and return it."""
        try:
            wait_until(lambda: condition(self.get(job)), seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.get(job)!r}, {self.history(job)}") from None
        return self.get(job)

    def until_status(self, job: Job, *statuses: Status, seconds: float = SECONDS) -> Job:
        return self.until(job, lambda now: now.status in statuses, f"one of {statuses}", seconds)

    def until_run(self, job: Job, *states: str, seconds: float = SECONDS) -> str:
        """Wait until the job's Prefect run is in a state of one of these types, and return the type."""
        wait_until(lambda: self.run_type(job) in states, seconds, f"a run in {states}")
        return self.run_type(job) or ""

    def run_type(self, job: Job) -> str | None:
        state = self.workspace.prefect.state(self.get(job).flow_run_id or str(UUID(int=0)))
        return state.type if state else None

    def at_gate(self, job: Job, gate: Path) -> Job:
        """Wait until the job's strategy has come to its gate."""
        wait_until(Path(f"{gate}.reached").exists, SECONDS, "the gate")
        return self.get(job)

    def tally(self, job: Job) -> list[int]:
        """The rows of a job that are in the target."""
        with self.workspace.target.connect() as connection:
            query = text("SELECT i FROM tally WHERE job_id = :id ORDER BY i")
            return list(connection.scalars(query, {"id": job.id}))

    def history(self, job: Job) -> Sequence[str]:
        return [f"{event.action} by {event.who}" for event in self.workspace.service.events(job.id)]


@contextmanager
def serving_with_own_prefect(folder: Path, jobs_url: str, target_url: str) -> Iterator[Served]:
    """A ``serve`` with a Prefect of its own; this process talks to that as a command of the same home does."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    nothing_named = {"PREFECT_API_URL": "", "PREFECT_HOME": str(folder / "prefect"), "BATCH_JOBS_API_PORT": "0"}
    give_database(folder / "prefect")
    served = Served(folder, jobs_url, target_url, nothing_named)
    try:
        served.start()
        known = served.own_prefect
        with temporary_settings({PREFECT_API_URL: known.api_url, PREFECT_API_AUTH_STRING: known.auth_string}):
            yield served
    finally:
        served.close()


def prefect_client() -> SyncPrefectClient:
    return get_client(sync_client=True)


def write_strategy(folder: Path, text: str) -> None:
    """Write the one strategy of a workspace, or write it anew."""
    (folder / "strategies").mkdir(exist_ok=True)
    (folder / "strategies" / "written.py").write_text(text)
