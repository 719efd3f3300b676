"""When keys are used: noted with each request, written seldom and beside the requests, none of which waits for it."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

logger = logging.getLogger("batch_jobs.api")

WRITE_SECONDS = 60.0  # the uses of a key within this time are one
LOOK_SECONDS = 1.0


class KeyUse:
    """The keys that were used and are still to be recorded so.

    Args:
        record: writes when some keys were used, each by its id.
    """

    def __init__(self, record: Callable[[Mapping[str, datetime]], None]) -> None:
        self._record = record
        self._noted: dict[str, float] = {}
        self._due: dict[str, datetime] = {}

    def note(self, key_id: str) -> None:
        """Note that a key is used now."""
        now = time.monotonic()
        if now - self._noted.get(key_id, -WRITE_SECONDS) >= WRITE_SECONDS:
            self._noted[key_id] = now
            self._due[key_id] = datetime.now(UTC)

    async def run(self) -> None:
        """Write until canceled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            due, self._due = self._due, {}
            if not due:
                continue
            try:
                await asyncio.to_thread(self._record, due)
            except Exception as error:  # a database that is away for a moment; the next use is written
                logger.warning("when keys were used could not be written: %s", type(error).__name__)
