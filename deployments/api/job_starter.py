"""Starting recorded jobs in Prefect without blocking: no caller waits for it, and no job is lost while it is away."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from batch_jobs.deployments.errors import PrefectUnreachable
from batch_jobs.deployments.prefect.connection import check_answers
from batch_jobs.flows.errors import NotLaunched
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.service import BatchJobService
from batch_jobs.flows.prefect.address import find_prefect

logger = logging.getLogger("batch_jobs.api")

LOOK_SECONDS = 10.0  # how soon a job is started that was recorded while Prefect was away


class JobStarter:
    """Starts the jobs that wait, as soon as one is reported and from time to time.

    What waits is asked of the job table each time, so nothing is lost when this process ends. Two processes doing it at
    once start a job once: Prefect makes one run for one idempotency key.
    """

    def __init__(self, service: BatchJobService, home: Path) -> None:
        self._service = service
        self._home = home
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_away = False
        self._refused: set[str] = set()

    def notify(self, job: Job) -> None:
        """Report, from any thread, a job that may have to be started."""
        if job.may_go_on and self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Start jobs until canceled."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            # with Prefect away there is nothing to be woken for
            wait = self._wake.wait() if await self._try_starting() else asyncio.Event().wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(wait, LOOK_SECONDS)

    async def _try_starting(self) -> bool:
        try:
            return await asyncio.to_thread(self._start_waiting)
        except Exception:  # a database that is away for a moment must not end this
            logger.warning("looking for waiting jobs failed; it is tried again", exc_info=True)
            return False

    def _start_waiting(self) -> bool:
        """Start what waits; returns whether Prefect answered to the end."""
        if not self._prefect_answers():
            return False
        refused: set[str] = set()
        for job in self._service.waiting():
            try:
                self._service.start(job)
                logger.debug("started %s (%s)", job.id, job.type)
            except NotLaunched as error:
                logger.log(_level(known=job.id in self._refused), "not started: %s", error)
                refused.add(job.id)
                if not self._prefect_answers():
                    return False
        self._refused = refused
        return True

    def _prefect_answers(self) -> bool:
        known = find_prefect(self._home)
        if known is None:
            return False
        try:
            check_answers(known)
        except PrefectUnreachable as error:
            logger.log(_level(known=self._is_away), "jobs wait: %s", error)
            self._is_away = True
            return False
        self._is_away = False
        return True


def _level(known: bool) -> int:
    """What goes on is worth one line, the first."""
    return logging.DEBUG if known else logging.WARNING
