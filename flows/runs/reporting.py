"""What a run's process reports to the job's row: progress and signs of life. There it also finds that it is to stop."""

import contextvars
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.secret_fields.masking import OpenedContext
from batch_jobs.strategies.sdk.result import JobResult

#: How many signs of life fit into the time after which a job counts as lost.
BEATS_PER_TIMEOUT = 4
LONGEST_SECONDS = 10.0


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

    def save(self, result: JobResult, plan: dict[str, Any]) -> None:
        """Save the result, unless a later attempt has the job."""
        masked = JobResult.model_validate(self._opened.masked(result.model_dump(mode="json")))
        if self._store.save_result(self._job_id, self._claim, masked, self._opened.masked(plan)):
            self._show_progress(result.progress)

    def stop_reason(self) -> str | None:
        """Why to stop at this chunk edge, if at all."""
        leaving = self._is_leaving()
        status, claim = self._store.status_and_claim(self._job_id)
        if claim != self._claim or status in (Status.FAILED, Status.COMPLETED):
            return "superseded"
        if status in (Status.CANCELED, Status.PAUSED):
            return str(status)
        return "interrupted" if leaving else None


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
        while not self._ended.wait(self._interval):
            try:
                if not self._beat():
                    return
            except Exception as error:  # a database that is away for a moment must not end the job
                self._logger.warning("a heartbeat could not be recorded: %s", error)
