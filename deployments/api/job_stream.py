"""Looking at all jobs that somebody follows, and at the followers' keys, with two queries however many there are."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

from batch_jobs.deployments.api.errors import TooManyStreams
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.queries import JobFilter, Page
from batch_jobs.flows.jobs.service import BatchJobService

logger = logging.getLogger("batch_jobs.api")

LOOK_SECONDS = 0.5
MOST_STREAMS = 100  # open ones of one key
AT_ONCE = 500  # jobs one query looks at

#: Which of some keys still work.
Working = Callable[[Collection[str]], Collection[str]]


class Follower:
    """One who follows a job: the job as it was last seen, and whether to go on."""

    def __init__(self, job: Job, key_id: str) -> None:
        self.job = job
        self.key_id = key_id
        self.has_to_go = False
        self._news = asyncio.Event()

    def see(self, job: Job) -> None:
        """Take over a newer look."""
        if (job.version, job.updated_at) != (self.job.version, self.job.updated_at):
            self.job = job
            self._wake()

    def send_away(self) -> None:
        """Let it follow no longer."""
        self.has_to_go = True
        self._wake()

    async def news(self, known: Job, seconds: float) -> None:
        """Wait until there is something else than what is known, or for some seconds."""
        if self.has_to_go or self.job is not known:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class JobWatch:
    """The jobs that somebody follows.

    Args:
        service: where the jobs are.
        working: finds which keys still work.
    """

    def __init__(self, service: BatchJobService, working: Working) -> None:
        self._service = service
        self._working = working
        self._followers: dict[str, list[Follower]] = {}
        self._streams: Counter[str] = Counter()
        self._is_closed = False

    @asynccontextmanager
    async def following(self, job: Job, key_id: str) -> AsyncIterator[Follower]:
        """Follow a job while the block runs.

        Raises:
            TooManyStreams: this key follows too many.
        """
        if self._streams[key_id] >= MOST_STREAMS:
            raise TooManyStreams(MOST_STREAMS)
        follower = Follower(job, key_id)
        follower.has_to_go = self._is_closed
        self._streams[key_id] += 1
        self._followers.setdefault(job.id, []).append(follower)
        try:
            yield follower
        finally:
            self._streams[key_id] -= 1
            self._followers[job.id].remove(follower)
            if not self._followers[job.id]:
                del self._followers[job.id]

    def close(self) -> None:
        """Send everybody away, and whoever comes later; they are to go on elsewhere."""
        self._is_closed = True
        for follower in self._all():
            follower.send_away()

    async def run(self) -> None:
        """Look until canceled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look_at_keys()
                await self._look_at_jobs()
            except Exception:  # a database that is away for a moment must not end the streams
                logger.warning("looking at followed jobs failed; it is tried again", exc_info=True)

    async def _look_at_keys(self) -> None:
        shown = {follower.key_id for follower in self._all()}
        revoked = shown.difference(await asyncio.to_thread(self._working, shown)) if shown else ()
        for follower in self._all():
            if follower.key_id in revoked:
                follower.send_away()

    async def _look_at_jobs(self) -> None:
        ids = list(self._followers)
        for start in range(0, len(ids), AT_ONCE):
            for job in await asyncio.to_thread(self._look, ids[start : start + AT_ONCE]):
                for follower in self._followers.get(job.id, ()):
                    follower.see(job)

    def _look(self, ids: Sequence[str]) -> Sequence[Job]:
        return self._service.page(JobFilter(ids=ids), Page(len(ids)))

    def _all(self) -> list[Follower]:
        return [follower for followers in self._followers.values() for follower in followers]
