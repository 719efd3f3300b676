"""Counting rows and saving the count now and then. Knows time and numbers; a function it is given does the saving."""

import time
from collections.abc import Callable

from strategies.result import Counters, JobResult

SAVE_INTERVAL = 1.0  # seconds; more often would cost more than the work it reports


class Progress:
    """The ``job.progress`` of a strategy: set ``total``, call ``advance``."""

    def __init__(
        self, result: JobResult, save: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counters = Counters()
        self._result = result
        self._save = save
        self._clock = clock
        self._saved_at = -SAVE_INTERVAL
        self._in_chunk = False

    @property
    def total(self) -> int | None:
        """How many rows there are in all, ``None`` while unknown."""
        return self._result.count

    @total.setter
    def total(self, rows: int | None) -> None:
        self._result.count = rows

    def advance(self, rows: int = 1) -> None:
        """Count rows gone through; inside a chunk they show only once the chunk is committed."""
        self.counters.advanced += rows
        if not self._in_chunk:
            self.publish()

    def begin_chunk(self) -> Counters:
        """Hold back what is counted from here; return the counts so far, to go back to when the chunk fails."""
        self._in_chunk = True
        return self.counters.model_copy()

    def end_chunk(self, counters: Counters) -> None:
        """Take these counts as committed and show them."""
        self._in_chunk = False
        self.counters = counters
        self.publish()

    def publish(self) -> None:
        """Show the counts in the result, and save it when the last save is long enough ago."""
        self._result.show(self.counters)
        now = self._clock()
        if now - self._saved_at >= SAVE_INTERVAL:
            self._saved_at = now
            self._save()
