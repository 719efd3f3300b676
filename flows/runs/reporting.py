"""What a run's process reports to the job's row: progress and signs of life. There it also finds that it is to stop."""

import contextvars
import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Engine

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.secret_fields.masking import OpenedContext
from batch_jobs.strategies.sdk.connecting import without_waiting
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import StopRequested
from batch_jobs.strategies.sdk.json_values import storable_json
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.sdk.transient import is_transient

#: How many signs of life fit into the time after which a job counts as lost.
BEATS_PER_TIMEOUT = 4
LONGEST_SECONDS = 10.0
#: After a beat that could not be recorded the next one follows sooner, so that an outage is made up for at its end.
MISSED_SECONDS = 1.0

logger = logging.getLogger("batch_jobs")


class RowReport:
    """Reports a run's progress to its row, and finds out there that the run is to stop.

    Args:
        store: the job table.
        job: the job as this process claimed it.
        opened: its context, to keep its secrets out of the row.
        show_progress: called with the progress, 0 to 1, at each save.
        is_leaving: whether this process is to leave the job; once it answers, the row has followed the Prefect run.
    """

    def __init__(
        self,
        store: JobStore,
        job: Job,
        opened: OpenedContext,
        show_progress: Callable[[float], None],
        is_leaving: Callable[[], bool],
    ) -> None:
        self._store = store
        self._opened = opened
        self._is_leaving = is_leaving
        self._job_id = job.id
        self._claim = job.claim or 0
        self._show_progress = show_progress
        self._is_heeded = False

    def save(self, result: JobResult, plan: dict[str, Any]) -> None:
        """Save the result, unless a later attempt has the job."""
        shown, kept = (storable_json(self._opened.masked(what)) for what in (result.model_dump(mode="json"), plan))
        if self._store.save_result(self._job_id, self._claim, JobResult.model_validate(shown), kept):
            self._show_progress(result.progress)

    def save_soon(self, result: JobResult, plan: dict[str, Any]) -> None:
        """Save the result where the job database answers at once; a save that waits follows at the phase's end."""
        try:
            with without_waiting():
                self.save(result, plan)
        except Exception as error:
            if not is_transient(error):
                raise
            logger.debug("the progress of %s could not be saved: %s", self._job_id, error)

    def stop_if_asked(self) -> None:
        """Raise ``StopRequested`` when the job is to stop while something is waited for."""
        reason = self.stop_reason()
        if reason:
            raise StopRequested(reason)

    def stop_reason(self) -> str | None:
        """Why to stop at this chunk edge, if at all."""
        if self._is_heeded:
            return None
        leaving = self._is_leaving()
        status, claim = self._store.status_and_claim(self._job_id)
        if claim != self._claim or status in (Status.FAILED, Status.COMPLETED):
            return "superseded"
        if status in (Status.CANCELED, Status.PAUSED):
            return str(status)
        return "interrupted" if leaving else None

    def heed(self) -> None:
        """Ask nothing to stop any more, so that the hooks of a job's end can wait for a connection."""
        self._is_heeded = True


def stop_waiting_in_vain(store: JobStore, job_id: str, target: Engine, lives: bool) -> None:
    """Stop what waits for a lock of the target where the job is canceled or this process has it no more.

    A chunk that waits does not come to its edge.
    """
    if not lives or store.status_and_claim(job_id)[0] is Status.CANCELED:
        database_of(target).stop_lock_waits(target)


class Heartbeat:
    """Calls ``beat`` now and then while the block runs, from a thread, so that a long chunk is no silence.

    Args:
        timeout: seconds of silence after which a job counts as lost.
        beat: gives the sign of life; ``False`` ends it, as this process has the job no more. After an error the next
            beat tries again.
        logger: where errors go.
    """

    def __init__(self, timeout: float, beat: Callable[[], bool], logger: Any) -> None:
        self._interval = min(timeout / BEATS_PER_TIMEOUT, LONGEST_SECONDS)
        self._beat = beat
        self._logger = logger
        self._ended = threading.Event()
        here = contextvars.copy_context()  # it holds which Prefect is asked
        self._thread = threading.Thread(target=here.run, args=(self._go_on,), name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _go_on(self) -> None:
        pause, is_missed = self._interval, False
        while not self._ended.wait(pause):
            try:
                with without_waiting():
                    if not self._beat():
                        return
                pause, is_missed = self._interval, False
            except Exception as error:  # a database that is away for a moment must not end the job
                if not is_missed:
                    self._logger.warning("a heartbeat could not be recorded: %s", error)
                pause, is_missed = min(self._interval, MISSED_SECONDS), True
