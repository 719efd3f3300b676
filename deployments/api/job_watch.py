"""Looking at all jobs that somebody follows with one query at a time, however many follow them."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from deployments.api.errors import TooManyStreams
from flows.job import Job
from flows.job_filter import JobFilter, Page
from flows.service import BatchJobService

logger = logging.getLogger("batch_jobs.api")

LOOK_SECONDS = 0.5
MOST_STREAMS = 100  # open ones of one key
AT_ONCE = 500  # jobs one query looks at


class Followed:
    """A job as it was last seen, for those who follow it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.followers = 0
        self._changed = asyncio.Event()

    def see(self, job: Job) -> None:
        """Take over a newer look."""
        if (job.version, job.updated_at) != (self.job.version, self.job.updated_at):
            self.job = job
            self._changed.set()
            self._changed = asyncio.Event()

    async def change(self, seconds: float) -> None:
        """Wait until it changes, or for some seconds."""
        changed = self._changed
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            return


class JobWatch:
    """The jobs that somebody follows."""

    def __init__(self, service: BatchJobService) -> None:
        self._service = service
        self._followed: dict[str, Followed] = {}
        self._streams: Counter[str] = Counter()

    @asynccontextmanager
    async def following(self, job: Job, key_id: str) -> AsyncIterator[Followed]:
        """Follow a job while the block runs.

        Raises:
            TooManyStreams: this key follows too many.
        """
        if self._streams[key_id] >= MOST_STREAMS:
            raise TooManyStreams(MOST_STREAMS)
        self._streams[key_id] += 1
        followed = self._followed.setdefault(job.id, Followed(job))
        followed.see(job)
        followed.followers += 1
        try:
            yield followed
        finally:
            followed.followers -= 1
            self._streams[key_id] -= 1
            if not followed.followers:
                self._followed.pop(job.id, None)

    async def run(self) -> None:
        """Look until canceled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            ids = list(self._followed)
            for start in range(0, len(ids), AT_ONCE):
                try:
                    self._see(await asyncio.to_thread(self._look, ids[start : start + AT_ONCE]))
                except Exception:  # a database that is away for a moment must not end the streams
                    logger.warning("looking at followed jobs failed; it is tried again", exc_info=True)

    def _look(self, ids: Sequence[str]) -> Sequence[Job]:
        return self._service.page(JobFilter(ids=ids), Page(len(ids)))

    def _see(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.id in self._followed:
                self._followed[job.id].see(job)
