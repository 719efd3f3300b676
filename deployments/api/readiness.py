"""Whether the parts that requests need answer: each is asked by one thread at a time, however many want to know."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread
from sqlalchemy import text

from batch_jobs.deployments.prefect import server
from batch_jobs.flows.prefect.address import find_prefect
from batch_jobs.flows.workspace import Workspace

FRESH_SECONDS = 1.0  # a look is shared by those who ask within this time, as anybody may ask
WAIT_SECONDS = 1.0  # for a look that goes on; then the one before is the answer
PART_SECONDS = 5.0  # after which a part that does not answer is down


@dataclass(frozen=True)
class Ready:
    """Which parts answer. Without Prefect jobs are still read and recorded, and started later."""

    database: bool
    files: bool
    prefect: bool

    @property
    def can_serve(self) -> bool:
        """Whether requests can be served."""
        return self.database and self.files

    @property
    def status(self) -> str:
        """All of it as one of three."""
        if not self.can_serve:
            return "unavailable"
        return "ready" if self.prefect else "degraded"


class Readiness:
    """Looks at the parts of a workspace, one look at a time, without the threads that requests are served by."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._parts = tuple(_Part(check) for check in (self._database, self._files, self._prefect))
        self._looking: asyncio.Task[None] | None = None
        self._seen: tuple[float, Ready] | None = None

    async def look(self) -> Ready:
        """Look at them, or say what was seen a moment ago; of a look that takes long, what the one before saw."""
        if self._looking is None and not self._is_fresh():
            self._looking = asyncio.create_task(self._look())
        if self._looking is not None:
            await asyncio.wait({self._looking}, timeout=WAIT_SECONDS if self._seen else None)
        assert self._seen is not None  # the first look is waited for
        return self._seen[1]

    def _is_fresh(self) -> bool:
        return self._seen is not None and time.monotonic() - self._seen[0] <= FRESH_SECONDS

    async def _look(self) -> None:
        try:
            ready = Ready(*await asyncio.gather(*(part.answers() for part in self._parts)))
            self._seen = (time.monotonic(), ready)
        finally:
            self._looking = None

    def _database(self) -> None:
        with self._workspace.jobs.connect() as connection:
            connection.execute(text("SELECT 1"))

    def _files(self) -> None:
        self._workspace.files.exists("none")

    def _prefect(self) -> None:
        known = find_prefect(self._workspace.settings.home)
        if known is None or not server.answers(known.api_url.rstrip("/")):
            raise ConnectionError("no Prefect answers")


class _Part:
    """One part; while a check of it hangs, no other is begun."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._thread = CapacityLimiter(1)
        self._checking: asyncio.Task[bool] | None = None

    async def answers(self) -> bool:
        """Whether it answers in time."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._succeeds())
        done, _ = await asyncio.wait({self._checking}, timeout=PART_SECONDS)
        return any(task.result() for task in done)

    async def _succeeds(self) -> bool:
        try:
            await to_thread.run_sync(self._check, limiter=self._thread)
        except Exception:  # each part has errors of its own; whatever it is, it does not answer
            return False
        return True
