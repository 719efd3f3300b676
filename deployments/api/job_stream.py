"""The open streams of jobs: their jobs and keys are looked up with two queries, however many streams there are."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

from batch_jobs.deployments.api.errors import TooManyStreams
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.service import BatchJobService

logger = logging.getLogger("batch_jobs.api")

LOOK_SECONDS = 0.5
MOST_STREAMS = 100  # open ones of one key
AT_ONCE = 500  # jobs one query looks at

#: Which of some keys still work.
Working = Callable[[Collection[str]], Collection[str]]


class Subscription:
    """One open stream: the job as it was last seen, and whether to go on."""

    def __init__(self, job: Job, key_id: str) -> None:
        self.job = job
        self.key_id = key_id
        self.is_closed = False
        self._changed = asyncio.Event()

    def update(self, job: Job) -> None:
        """Wake the stream where the job has changed."""
        if (job.version, job.updated_at) != (self.job.version, self.job.updated_at):
            self.job = job
            self._wake()

    def close(self) -> None:
        """End the stream."""
        self.is_closed = True
        self._wake()

    async def wait_for_change(self, known: Job, seconds: float) -> None:
        """Wait until there is something else than what is known, or for some seconds."""
        if self.is_closed or self.job is not known:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class JobStreams:
    """All open streams.

    Args:
        service: where the jobs are.
        working: finds which keys still work.
    """

    def __init__(self, service: BatchJobService, working: Working) -> None:
        self._service = service
        self._working = working
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._streams: Counter[str] = Counter()
        self._is_closed = False

    @asynccontextmanager
    async def subscribe(self, job: Job, key_id: str) -> AsyncIterator[Subscription]:
        """Count one open stream of a job while the block runs.

        Raises:
            TooManyStreams: this key has too many.
        """
        if self._streams[key_id] >= MOST_STREAMS:
            raise TooManyStreams(MOST_STREAMS)
        subscription = Subscription(job, key_id)
        subscription.is_closed = self._is_closed
        self._streams[key_id] += 1
        self._subscriptions.setdefault(job.id, []).append(subscription)
        try:
            yield subscription
        finally:
            self._streams[key_id] -= 1
            self._subscriptions[job.id].remove(subscription)
            if not self._subscriptions[job.id]:
                del self._subscriptions[job.id]

    def close(self) -> None:
        """End all streams, and those that begin later; their clients go on elsewhere."""
        self._is_closed = True
        for subscription in self._all():
            subscription.close()

    async def run(self) -> None:
        """Look until canceled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look_at_keys()
                await self._look_at_jobs()
            except Exception:  # a database that is away for a moment must not end the streams
                logger.warning("looking at streamed jobs failed; it is tried again", exc_info=True)

    async def _look_at_keys(self) -> None:
        shown = {subscription.key_id for subscription in self._all()}
        revoked = shown.difference(await asyncio.to_thread(self._working, shown)) if shown else ()
        for subscription in self._all():
            if subscription.key_id in revoked:
                subscription.close()

    async def _look_at_jobs(self) -> None:
        ids = list(self._subscriptions)
        for start in range(0, len(ids), AT_ONCE):
            for job in await asyncio.to_thread(self._look, ids[start : start + AT_ONCE]):
                for subscription in self._subscriptions.get(job.id, ()):
                    subscription.update(job)

    def _look(self, ids: Sequence[str]) -> Sequence[Job]:
        return self._service.of_ids(ids)

    def _all(self) -> list[Subscription]:
        return [subscription for subscriptions in self._subscriptions.values() for subscription in subscriptions]
