"""SIGTERM while a strategy works: the current chunk is finished first, then the process leaves the job to another."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

#: What a deploy sends; and Ctrl-C at a terminal, which reaches the runs of a `serve` or `worker` there too.
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """Notes signals while a strategy's code runs; a run looks at ``wanted`` at each chunk edge.

    Outside of the blocks Prefect's own handling is in force, which ends the run at once, but between ``keep`` and
    ``lift``: a run that does not wait for anything is left to tell its end. A signal that comes twice is
    noted once: whoever cannot wait for the chunk's end has SIGKILL.

    Args:
        signals: which ones to note; fewer where the process has its own way to stop, as the command line does.
    """

    def __init__(self, signals: tuple[signal.Signals, ...] = SIGNALS) -> None:
        self.wanted = False
        self._signals = signals if threading.current_thread() is threading.main_thread() else ()
        self._before: dict[signal.Signals, Any] = {}
        self._lifted: dict[signal.Signals, Any] = {}

    def keep(self) -> None:
        """Note signals from now on, to the end of the process."""
        for number in self._signals:
            before = signal.signal(number, self._note)
            self._lifted.setdefault(number, before)

    def lift(self) -> None:
        """Let the handling be in force again that was before ``keep``."""
        for number, handler in self._lifted.items():
            signal.signal(number, handler)

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in self._signals}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.wanted = True
