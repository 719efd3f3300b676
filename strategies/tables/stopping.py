"""Ending a statement that takes too long or whose job is to stop, also before it gave its first row."""

import contextvars
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import JobRefused, StopRequested
from batch_jobs.strategies.sdk.job import JobRun

LOOK_SECONDS = 1.0
#: An interruption passes without effect where no statement runs at this moment.
AGAIN_SECONDS = 0.1


class QueryTooLong(JobRefused):
    """A query took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the query took longer than the {seconds:g} s of BATCH_JOBS_QUERY_TIMEOUT; make it a lesser one"
        )


@contextmanager
def stoppable(job: JobRun, connection: Connection, seconds: float | None = None) -> Iterator[None]:
    """Let what the block reads by a connection be ended when its job is to stop, or its time is over.

    Args:
        job: asked once a second whether to stop.
        connection: which nothing but the block uses.
        seconds: how long the block may take; ``None`` for any time.

    Raises:
        StopRequested: the job is to stop.
        QueryTooLong: the time is over.
    """
    ended, reasons = threading.Event(), list[BaseException]()

    def watch() -> None:
        reason = _reason_to_end(job, ended, seconds)
        if reason is None:
            return
        reasons.append(reason)
        while not ended.is_set():
            try:
                database_of(connection).interrupt(connection)
            except Exception as error:  # the server may be away for a moment
                job.logger.warning("a statement could not be ended: %s", error)
            ended.wait(AGAIN_SECONDS)

    here = contextvars.copy_context()  # it holds which Prefect is asked
    thread = threading.Thread(target=here.run, args=(watch,), name="statement-watch", daemon=True)
    thread.start()
    try:
        yield
    except Exception as error:
        if reasons:
            raise reasons[0] from error
        raise
    finally:
        ended.set()
        thread.join()


def _reason_to_end(job: JobRun, ended: threading.Event, seconds: float | None) -> BaseException | None:
    """Wait for it; ``None`` where the block has ended before."""
    until = None if seconds is None else time.monotonic() + seconds
    while not ended.wait(LOOK_SECONDS if until is None else min(LOOK_SECONDS, max(until - time.monotonic(), 0))):
        if seconds is not None and until is not None and time.monotonic() >= until:
            return QueryTooLong(seconds)
        try:
            job.stop_if_asked()
        except StopRequested as stop:
            return stop
        except Exception as error:  # where the job database is away for a moment, the next look finds out
            job.logger.warning("it could not be found out whether to stop: %s", error)
    return None
