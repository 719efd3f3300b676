"""The two ways a recorded job goes on: in this process, with live progress and Ctrl-C, or by the Prefect there is."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.cli.watch import POLL_INTERVAL, ProgressView, progress_view
from batch_jobs.deployments.errors import PrefectUnreachable, RunBroke
from batch_jobs.deployments.hangup import outlive_terminal
from batch_jobs.deployments.login import login_name
from batch_jobs.deployments.prefect.connection import check_answers, prefect_for_this_run
from batch_jobs.flows.errors import ActionIllegal, JobMoved, NotLaunched
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.service import BatchJobService
from batch_jobs.flows.prefect.address import find_prefect
from batch_jobs.flows.prefect.client import run_parameters
from batch_jobs.flows.runs.memory import limit_memory
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk.errors import BatchJobError

#: Prefect's setting that keeps its own lines off the console; a strategy's come from ``_StrategyWarnings``.
CONSOLE_LEVEL = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"
SEND_SECONDS = 5


def start_in_prefect(workspace: Workspace, job: Job) -> Job:
    """Let the Prefect there is run the job, and return the job.

    Raises:
        NotLaunched: there is no Prefect, or it does not answer or has no deployment of the job's type.
    """
    known = find_prefect(workspace.settings.home)
    if known is None:
        raise NotLaunched(job, "no Prefect is named and `batch-jobs serve` does not run here")
    try:
        check_answers(known)
    except PrefectUnreachable as error:
        raise NotLaunched(job, str(error)) from None
    return workspace.service.start(job)


@contextmanager
def running_here(workspace: Workspace, job: Job, verbose: bool) -> Iterator[Callable[[Job], Job]]:
    """Make a Prefect available for a job of this process; where there is none, the job fails.

    Yields a function that runs the job until it needs a person and returns it as it is then. The first Ctrl-C meanwhile
    pauses a job that writes chunks; any other fails it at once.

    Raises:
        PrefectUnreachable: the named Prefect does not answer.
        PrefectDidNotStart: none is named and one of our own did not start.
    """
    outlive_terminal()
    if not verbose:
        os.environ.setdefault(CONSOLE_LEVEL, "CRITICAL")
    with ExitStack() as stack:
        try:
            stack.enter_context(prefect_for_this_run(workspace.settings.home, output.hint))
        except (BatchJobError, KeyboardInterrupt) as error:
            workspace.service.fail(job.id, login_name(), str(error) or "interrupted")
            raise
        yield lambda job: _run(workspace, job, verbose)


def _run(workspace: Workspace, job: Job, verbose: bool) -> Job:
    workspace.strategies.get(job.type)  # where the strategy is gone, its error names those there are
    from batch_jobs.flows.catalog import FLOWS

    limit_memory(os.getpid(), workspace.settings.most_memory)
    flow, service, view = FLOWS[job.type], workspace.service, progress_view()
    state: Any = None
    with suppress(KeyboardInterrupt), _prefect_logs_sent(), view, _strategy_warnings(view, verbose):
        with _Monitor(service, job.id, view):
            state = flow(**run_parameters(job), return_state=True)
    job = service.get(job.id)
    if not job.needs_a_person:
        raise RunBroke(job.id, " ".join((state.message or state.name).split()) if state else "it was interrupted")
    return job


@contextmanager
def _prefect_logs_sent() -> Iterator[None]:
    """Wait until Prefect has the run's last log lines and events, sent in the background: its server may stop then."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    try:
        yield
    finally:
        for worker in (APILogWorker, EventsWorker):
            worker.drain_all(timeout=SEND_SECONDS)


class _Monitor:
    """A thread that shows the job's progress, and pauses the job at the first Ctrl-C.

    The signal handler only sets a flag: a signal comes between any two instructions, the job database's own included.
    """

    def __init__(self, service: BatchJobService, job_id: str, view: ProgressView) -> None:
        self._service = service
        self._job_id = job_id
        self._view = view
        self._interrupted = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="progress", daemon=True)
        self._previous_handler: Any = signal.SIG_DFL

    def __enter__(self) -> "_Monitor":
        self._previous_handler = signal.signal(signal.SIGINT, self._on_interrupt)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        signal.signal(signal.SIGINT, self._previous_handler)

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._interrupted.is_set():
            raise KeyboardInterrupt
        self._interrupted.set()

    def _poll(self) -> None:
        paused = False
        while not self._ended.wait(POLL_INTERVAL):
            if self._interrupted.is_set() and not paused:
                paused = True
                self._pause()
            self._view.show(self._service.get(self._job_id))

    def _pause(self) -> None:
        try:
            self._service.pause(self._job_id, who=login_name(), why="Ctrl-C")
            self._view.print("stopping at the next chunk edge; Ctrl-C again stops at once")
        except (ActionIllegal, JobMoved):  # nothing is being written, so there is no edge to wait for
            if not self._ended.is_set():
                os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def _strategy_warnings(view: ProgressView, verbose: bool) -> Iterator[None]:
    """Print the warnings of the strategy above the bar, unless Prefect's console shows them already."""
    if verbose:
        yield
        return
    handler = _StrategyWarnings(view)
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


class _StrategyWarnings(logging.Handler):
    """Prints what a strategy logs; what Prefect logs of its runs is left out, as the job's row says it."""

    def __init__(self, view: ProgressView) -> None:
        import prefect

        super().__init__(logging.WARNING)
        self._view = view
        self._prefect_folder = os.path.dirname(prefect.__file__) + os.sep

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record that does not come from Prefect."""
        if not record.pathname.startswith(self._prefect_folder):
            self._view.print(f"{record.levelname.lower()}: {record.getMessage()}")
