"""A strategy's code that would end the whole process fails its job only."""

from collections.abc import Iterator
from contextlib import contextmanager

from strategies.errors import StopRequested, StrategyExited


@contextmanager
def exits_as_errors() -> Iterator[None]:
    """Let nothing out of the block that ends the process, other than Ctrl-C.

    Raises:
        StrategyExited: in place of ``SystemExit`` and its like, with where it was raised.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt, StopRequested):
        raise
    except BaseException as error:
        raise StrategyExited(error).with_traceback(error.__traceback__) from None
