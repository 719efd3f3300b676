"""Running a job in this process, with its progress shown and Ctrl-C taken as a wish to stop in order."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.cli.live import LOOK_INTERVAL, View, view_for_stderr
from batch_jobs.deployments.cli.options import login_name
from batch_jobs.deployments.errors import RunBroke
from batch_jobs.deployments.prefect.connection import prefect_for_this_run
from batch_jobs.flows.errors import ActionIllegal, JobMoved
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.service import BatchJobService
from batch_jobs.flows.workspace import Workspace, current_workspace
from batch_jobs.strategies.sdk.errors import BatchJobError

#: Prefect's own console lines are kept back by this; ours come from ``_LinesAboveTheBar``.
CONSOLE_LEVEL = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"
SEND_SECONDS = 5


@contextmanager
def running_here(workspace: Workspace, job: Job, verbose: bool) -> Iterator[Callable[[Job], Job]]:
    """Be ready to run a job that this process owns; yields what runs it. Where nothing can be run, the job fails.

    It runs the job to its end, or to where it waits for a person, and returns it as it is then. The first Ctrl-C pauses
    a job that writes chunks; any other fails it at once.
    """
    if not verbose:
        os.environ.setdefault(CONSOLE_LEVEL, "CRITICAL")
    with ExitStack() as held:
        try:
            held.enter_context(prefect_for_this_run(workspace.settings.home, output.hint))
        except (BatchJobError, KeyboardInterrupt) as error:
            workspace.service.fail(job.id, login_name(), str(error) or "interrupted")
            raise
        yield lambda job: _run(workspace.service, job, verbose)


def _run(service: BatchJobService, job: Job, verbose: bool) -> Job:
    run = _flow_of(job)
    view = view_for_stderr()
    state: Any = None
    with suppress(KeyboardInterrupt), _sending_what_is_left(), view, _own_lines(view, verbose):
        with _Watch(service, job.id, view):
            state = run(context=job.context, dry_run=job.dry_run, job_id=job.id, return_state=True)
    seen = service.get(job.id)
    if not seen.needs_a_person:
        raise RunBroke(job.id, " ".join((state.message or state.name).split()) if state else "it was interrupted")
    return seen


def _flow_of(job: Job) -> Any:
    current_workspace().strategies.get(job.type)  # says which there are when there is no such strategy any more
    from batch_jobs.flows.catalog import FLOWS

    return FLOWS[job.type]


@contextmanager
def _sending_what_is_left() -> Iterator[None]:
    """Wait until Prefect has the run's last log lines and events, sent in the background: its server may stop then."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    try:
        yield
    finally:
        for worker in (APILogWorker, EventsWorker):
            worker.drain_all(timeout=SEND_SECONDS)


class _Watch:
    """A thread that shows the job; at the first Ctrl-C it pauses the job, which then stops at its next chunk edge."""

    def __init__(self, service: BatchJobService, job_id: str, view: View) -> None:
        self._service = service
        self._job_id = job_id
        self._view = view
        self._stop_asked = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._before: Any = signal.SIG_DFL

    def __enter__(self) -> "_Watch":
        self._before = signal.signal(signal.SIGINT, self._interrupted)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        signal.signal(signal.SIGINT, self._before)

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        """Only note the wish: a signal comes between any two instructions, the job database's own included."""
        if self._stop_asked.is_set():
            raise KeyboardInterrupt
        self._stop_asked.set()

    def _look(self) -> None:
        paused = False
        while not self._ended.wait(LOOK_INTERVAL):
            if self._stop_asked.is_set() and not paused:
                paused = True
                self._stop_in_order()
            self._view.show(self._service.get(self._job_id))

    def _stop_in_order(self) -> None:
        try:
            self._service.pause(self._job_id, who=login_name(), why="Ctrl-C")
            self._view.say("stopping at the next chunk edge; Ctrl-C again stops at once")
        except (ActionIllegal, JobMoved):  # nothing is being written, so there is no edge to wait for
            if not self._ended.is_set():
                os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def _own_lines(view: View, verbose: bool) -> Iterator[None]:
    if verbose:
        yield
        return
    handler = _LinesAboveTheBar(view)
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


class _LinesAboveTheBar(logging.Handler):
    """Shows a strategy's own warnings; what Prefect says of its runs we say ourselves, from the job's row."""

    def __init__(self, view: View) -> None:
        import prefect

        super().__init__(logging.WARNING)
        self._view = view
        self._theirs = os.path.dirname(prefect.__file__) + os.sep

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record that does not come from Prefect."""
        if not record.pathname.startswith(self._theirs):
            self._view.say(f"{record.levelname.lower()}: {record.getMessage()}")
