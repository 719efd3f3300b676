"""Prefect's own observers of a run ask on until Prefect is back, and say in a line that it is away.

As Prefect has them, they end after some ten seconds without an answer: no run that was alive then is stopped any more
when somebody cancels it, and the log has their traces.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from prefect._internal import observers

from flows.upkeep import again_and_again

LOGGERS = ("prefect.FlowRunCancellingObserver", "prefect.FlowRunSuspendingObserver")


def outlive_outages() -> None:
    """Let the observers of this process be so."""
    # Prefect has no other place for it
    observers.critical_service_loop = ask_on  # type: ignore[attr-defined,assignment]
    for name in LOGGERS:
        logging.getLogger(name).addFilter(in_a_line)


async def ask_on(workload: Callable[[], Awaitable[None]], interval: float, **_: object) -> None:
    """Do it every so many seconds until cancelled; that is no error then, of which Prefect would log the trace."""
    with suppress(asyncio.CancelledError):
        await again_and_again(workload, interval)


def in_a_line(record: logging.LogRecord) -> bool:
    """Put the error of a record's trace into its text instead; the record goes on."""
    if record.exc_info and record.exc_info[1]:
        record.msg, record.args, record.exc_info = f"{record.getMessage()} {record.exc_info[1]}", (), None
    return True
