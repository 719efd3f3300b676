"""A closed terminal: its hangup is taken as SIGTERM is, so that work ends in order; what is still said is lost."""

import errno
import io
import signal
import sys
from types import FrameType
from typing import Any


def outlive_terminal() -> None:
    """Take SIGHUP as SIGTERM from now on, however that is taken; where it is ignored (``nohup``) it stays so."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and stream.isatty():
            setattr(sys, name, _outliving(stream))


def _terminate(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGTERM)


class _Terminal(io.FileIO):
    """A terminal that may be gone: what is written then would be an error each time."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return len(data)


def _outliving(stream: Any) -> io.TextIOWrapper:
    stream.flush()
    terminal = io.BufferedWriter(_Terminal(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(terminal, stream.encoding, stream.errors, line_buffering=True)
