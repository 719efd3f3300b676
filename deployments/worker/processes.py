"""Processes of runs, forked from one that has imported Prefect and every strategy already: no run waits for that.

A run's process starts from scratch, as Prefect would start it, where the forked one would not be the same: when a
file of code changed since it was imported, or when the run is given another environment. So it does where the process
to fork from cannot be had.
"""

import asyncio
import multiprocessing
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Protocol

import anyio
import certifi
import psutil
from prefect.settings import get_current_settings

from batch_jobs.deployments.worker import run_process
from batch_jobs.deployments.worker.run_process import ENGINE, run_engine
from batch_jobs.flows.prefect.address import API_URL
from batch_jobs.flows.runs.memory import limit_memory
from batch_jobs.flows.settings import current_settings
from batch_jobs.flows.workspace import current_workspace

#: The command line first, so that a process forked from it does not import it again as its main module.
PRELOADED = [
    "batch_jobs.deployments.cli.main",
    "batch_jobs.deployments.worker.processes",
    "prefect.flow_engine",
    "prefect.task_engine",
    ENGINE,
    "prefect.workers.base",
    "prefect.utilities.visualization",
    "fsspec.implementations.chained",
    "encodings.idna",
    "batch_jobs.flows.catalog",
    "batch_jobs.flows.scheduled",
    "batch_jobs.deployments.worker.fork_template",
]
FROM_SCRATCH = [sys.executable, "-m", run_process.__name__]
CERTIFICATES = "PREFECT_API_SSL_CERT_FILE"
END_OF_CERTIFICATE = "-----END CERTIFICATE-----\n"
VERSION_CHECK = "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED"
#: Variables of one run, which differ from run to run.
OF_A_RUN = "PREFECT__"
LOADED_AT = time.time()
LOOK_SECONDS = 0.1
#: What multiprocessing gives as the exit code of a process when the one that it was forked from is gone.
UNKNOWN = 255

_context = multiprocessing.get_context("forkserver")
_forking = asyncio.Lock()  # multiprocessing reads the ends of all its processes when it starts one


def preload(folder: Path) -> None:
    """Start the process that runs are forked from; it imports everything beside what goes on here.

    Args:
        folder: is there as long as runs are.
    """
    os.environ.update(get_current_settings().to_environment_variables(exclude_unset=True))
    os.environ[VERSION_CHECK] = "false"  # who deploys has looked
    if os.environ.get(API_URL, "").startswith("http:"):
        os.environ.setdefault(CERTIFICATES, str(_one_certificate(folder)))
    _context.set_forkserver_preload(PRELOADED)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for this process, which stops those it started
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def _one_certificate(folder: Path) -> Path:
    """A file to read instead of all certificates, which takes each of a run's clients of Prefect 50 ms, for nothing."""
    first, end, _ = Path(certifi.where()).read_text().partition(END_OF_CERTIFICATE)
    path = folder / "certificate.pem"
    path.write_text(first + end)
    return path


class RunProcess(Protocol):
    """The living process of a run."""

    @property
    def pid(self) -> int:
        """Its id on this machine."""

    async def end(self) -> int:
        """Wait for its end and return its exit code, which is negative where a signal ended it."""


async def start_process(environment: Mapping[str, str], folder: Path, command: str | None = None) -> RunProcess:
    """Start the process of a run.

    Args:
        environment: all of the run's variables.
        folder: the directory it runs in.
        command: what the run's work pool has it started by instead of a fork.
    """
    process = await _started(environment, folder, command)
    limit_memory(process.pid, current_settings().most_memory)
    return process


async def _started(environment: Mapping[str, str], folder: Path, command: str | None) -> RunProcess:
    if command is not None:
        return await _Interpreter.start(shlex.split(command), environment, folder)
    try:
        return await _Fork.start(environment, folder)
    except (OSError, EOFError):  # whatever was imported there ended it
        return await _Interpreter.start(FROM_SCRATCH, environment, folder)


def end_left(process: RunProcess) -> None:
    """End what the process of a run, which has ended itself, has left in its group: processes of its strategy."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class _Interpreter:
    """One that has everything yet to import."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: list[str], environment: Mapping[str, str], folder: Path) -> "_Interpreter":
        return cls(await asyncio.create_subprocess_exec(*command, env=environment, cwd=folder, start_new_session=True))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def end(self) -> int:
        return await self._process.wait()


class _Fork:
    """One with everything imported."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.pid = process.pid or 0

    @classmethod
    async def start(cls, environment: Mapping[str, str], folder: Path) -> "_Fork":
        process = _context.Process(target=_be_run, args=(dict(environment), folder))
        async with _forking:
            await asyncio.to_thread(process.start)  # it waits for the imports
        return cls(process)

    async def end(self) -> int:
        await anyio.wait_readable(self._process.sentinel)
        async with _forking:
            self._process.join()
        if self._process.exitcode == UNKNOWN:
            await self._until_gone()
        return self._process.exitcode or 0

    async def _until_gone(self) -> None:
        """Wait for the end of a process whose parent, which would report it, may be gone."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(LOOK_SECONDS)


def _be_run(environment: dict[str, str], folder: Path) -> None:
    """Be the process of a run, as one that was started from scratch is."""
    as_preloaded = _shared(environment) == _shared(os.environ) and not _is_outdated()
    os.setsid()  # what a terminal sends is for the worker, and what the run leaves behind is ended by its group
    os.chdir(folder)
    if not as_preloaded:
        os.execve(sys.executable, FROM_SCRATCH, environment)
    os.environ.update(environment)
    run_engine()


def _shared(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(OF_A_RUN)}


def _is_outdated() -> bool:
    """Whether a file of code is newer than what was imported."""
    return any(_changed_at(file) > LOADED_AT for file in _code())


def _code() -> Iterator[str | Path]:
    yield from (file for module in [*sys.modules.values()] if (file := getattr(module, "__file__", None)))
    for folder in current_workspace().settings.strategy_folders:
        yield from folder.rglob("*.py")


def _changed_at(file: str | Path) -> float:
    try:
        return os.stat(file).st_mtime
    except OSError:  # inside of an archive, or gone
        return 0.0
