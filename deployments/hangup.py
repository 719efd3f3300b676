"""A hangup, which a closed terminal sends to what runs there, is taken as SIGTERM is: work ends in order."""

import os
import signal
from types import FrameType


def hangup_ends() -> None:
    """Take SIGHUP as SIGTERM from now on, however that is taken; where it is ignored (``nohup``) it stays so."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    for number in (0, 1, 2):
        if os.isatty(number):  # every write to a terminal that is gone is an error
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    signal.raise_signal(signal.SIGTERM)
