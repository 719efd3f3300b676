"""The sign of life of the process that runs a job, given by a thread so that a long chunk is no silence."""

import contextvars
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

#: How many signs of life fit into the time after which a job counts as lost.
BEATS_PER_TIMEOUT = 4
LONGEST_SECONDS = 10.0


class Heartbeat:
    """Calls ``beat`` now and then while the block runs, until it says that this process has the job no more.

    Args:
        timeout: seconds of silence after which a job counts as lost.
        beat: gives the sign of life; ``False`` ends it. An error is told to ``logger`` and the next beat tries again.
        logger: where errors go.
    """

    def __init__(self, timeout: float, beat: Callable[[], bool], logger: Any) -> None:
        self._interval = min(timeout / BEATS_PER_TIMEOUT, LONGEST_SECONDS)
        self._beat = beat
        self._logger = logger
        self._ended = threading.Event()
        here = contextvars.copy_context()  # which Prefect is talked to is bound to it
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
                self._logger.warning("a heartbeat could not be told: %s", error)
