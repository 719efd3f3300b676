"""Processes of runs, forked from one that has imported Prefect and every strategy already: no run waits for that.

A run's process starts from scratch, as Prefect would start it, where the forked one would not be the same: when a
file of a strategy changed since it was imported, or when the run is given another environment.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskStatus
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.runner._process_manager import ProcessHandle
from prefect.settings import get_current_settings

from batch_jobs.deployments.worker.prefect_outage import outlive_outages
from batch_jobs.flows.workspace import current_workspace

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun
    from prefect.runner._control_channel import ControlChannel

ENGINE = "prefect.engine"
#: The command line first, so that a process forked from it does not import it again as its main module.
PRELOADED = [
    __name__,
    "batch_jobs.deployments.cli.main",
    "prefect.flow_engine",
    ENGINE,
    "batch_jobs.flows.catalog",
    "batch_jobs.flows.scheduled",
]
#: Variables of one run, which differ from run to run.
OF_A_RUN = "PREFECT__"
LOADED_AT = time.time()
#: How long the end of a run waits for what is still to be sent to Prefect, lines and events each.
SEND_SECONDS = 5.0

_context = multiprocessing.get_context("forkserver")


def preload() -> None:
    """Start the process that runs are forked from; it imports everything beside what goes on here."""
    os.environ.update(get_current_settings().to_environment_variables(exclude_unset=True))
    _context.set_forkserver_preload(PRELOADED)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for this process, which sees to those it started
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


class WarmStarter:
    """Starts the process of a run for Prefect (one of its ``ProcessStarter``).

    Args:
        environment: all of the run's variables.
        folder: the directory it runs in.
        control_channel: where Prefect tells the process why it is to stop.
        pids: has the process's id while that lives.
    """

    def __init__(
        self, environment: Mapping[str, str | None], folder: Path, control_channel: "ControlChannel", pids: set[int]
    ) -> None:
        self._environment = {name: value for name, value in environment.items() if value is not None}
        self._folder = folder
        self._control_channel = control_channel
        self._pids = pids

    async def start(
        self, flow_run: "FlowRun", task_status: TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Start it, tell who asked, and return when it has ended."""
        port, token = self._control_channel.register(flow_run.id)
        environment = {
            **self._environment,
            "PREFECT__FLOW_RUN_ID": str(flow_run.id),
            "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",
            "PREFECT__CONTROL_PORT": str(port),
            "PREFECT__CONTROL_TOKEN": token,
        }
        process = _context.Process(target=_run_engine, args=(environment, self._folder))
        try:
            process.start()
        except BaseException:
            self._control_channel.unregister(flow_run.id)
            raise
        task_status.started(ProcessHandle(process))  # type: ignore[arg-type] # says spawned, means multiprocessing's
        await self._end_of(process)

    async def _end_of(self, process: ForkServerProcess) -> None:
        pid = process.pid or 0
        self._pids.add(pid)
        try:
            await anyio.wait_readable(process.sentinel)
            process.join()
        finally:
            self._pids.discard(pid)


def _run_engine(environment: dict[str, str], folder: Path) -> None:
    """Be the process of a run, as ``python -m prefect.engine`` is."""
    as_preloaded = _shared(environment) == _shared(os.environ) and not _is_outdated()
    os.chdir(folder)
    if not as_preloaded:
        os.execve(sys.executable, [sys.executable, "-m", ENGINE], environment)
    os.environ.update(environment)
    outlive_outages()
    sys.argv = [ENGINE]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=f"'{ENGINE}' found in sys.modules", category=RuntimeWarning)
            runpy.run_module(ENGINE, run_name="__main__")
    finally:
        if not _all_is_sent():
            os._exit(_exit_code(sys.exc_info()[1]))  # in order, Prefect would ask a server that is away for a minute


def _all_is_sent() -> bool:
    """Whether Prefect has the run's last lines and events, after some seconds."""
    left: set[Any] = set()
    for worker in (APILogWorker, EventsWorker):
        ended: Any = worker.drain_all(timeout=SEND_SECONDS)
        left |= ended[1]
    return not left


def _exit_code(error: BaseException | None) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return int(error is not None)


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
