"""Questions to Prefect that a page asks beside itself: few at a time, and none while it is known to be away."""

import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from batch_jobs.flows.errors import PrefectAway

#: How many threads wait for Prefect at most; all other views are answered meanwhile.
AT_ONCE = 2
FRESH_SECONDS = 2.0
AWAY_SECONDS = 5.0
MOST_KEPT = 256

Answer = TypeVar("Answer")


class BesidePrefect:
    """Asks Prefect once for all who want to know the same at that time."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, tuple[float, Any]] = {}
        self._away: tuple[float, PrefectAway] | None = None
        self._turn = anyio.Semaphore(AT_ONCE)
        self._limiter: anyio.CapacityLimiter | None = None

    async def ask(self, about: Hashable, question: Callable[[], Answer]) -> Answer:
        """The answer to a question, which may be some seconds old.

        Args:
            about: two questions about the same have the same answer.
            question: asks.

        Raises:
            PrefectAway: it does not answer, or did not a moment ago.
        """
        async with self._turn:
            known = self._answers.get(about)
            if known is not None and time.monotonic() - known[0] < FRESH_SECONDS:
                answer: Answer = known[1]
                return answer
            self._refuse_while_away()
            return await self._ask(about, question)

    def _refuse_while_away(self) -> None:
        if self._away is not None and time.monotonic() - self._away[0] < AWAY_SECONDS:
            raise PrefectAway(str(self._away[1]))

    async def _ask(self, about: Hashable, question: Callable[[], Answer]) -> Answer:
        self._limiter = self._limiter or anyio.CapacityLimiter(AT_ONCE)  # threads of its own, not those of views
        try:
            answer = await to_thread.run_sync(question, limiter=self._limiter)
        except PrefectAway as error:
            self._away = (time.monotonic(), error)
            raise
        self._answers.pop(about, None)
        self._answers[about] = (time.monotonic(), answer)
        if len(self._answers) > MOST_KEPT:
            del self._answers[next(iter(self._answers))]
        return answer
