"""Ending a process that runs jobs: each run finishes its chunk and is left to the next worker."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, Protocol

Say = Callable[[str], None]

#: Printed when a process that runs jobs is stopped.
STOPPING = "stopping; runs finish their chunk and are left to the next worker"

GRACE_SECONDS = 60.0
#: How long ends of runs may go on being reported to Prefect when none lives any more.
LEAVE_SECONDS = 10.0
LOOK_SECONDS = 0.1


def stop_signal() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set, instead of what they did before to this process."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


class TakesRuns(Protocol):
    """What takes up runs while its block lasts, and waits at the end for those that live."""

    pids: set[int]

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *exc_info: Any) -> Any: ...

    def take_no_more(self) -> None:
        """Leave runs that are due to others."""


async def go_on_until_stopped(taker: TakesRuns, parts: Iterable[Coroutine[Any, Any, None]], say: Say) -> None:
    """Do all of the parts until SIGINT or SIGTERM, or until one fails, then let every run leave its job in order.

    Args:
        taker: what takes up runs.
        parts: what is done meanwhile, each until it is cancelled.
        say: prints to the terminal.

    Raises:
        Exception: that of a part which failed.
    """
    stop = stop_signal()
    tasks: list[asyncio.Task[None]] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as limit, taker:
            tasks += [_task(part, stop) for part in parts]
            await stop.wait()
            say(STOPPING)
            taker.take_no_more()
            tasks += [_task(let_runs_go(taker.pids), stop), _task(_leave_soon(limit, taker.pids), stop)]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for error in _errors(tasks):
        raise error


def _task(part: Coroutine[Any, Any, None], stop: asyncio.Event) -> "asyncio.Task[None]":
    """Do a part; one that fails ends all."""

    def end(task: "asyncio.Task[None]") -> None:
        if any(_errors([task])):
            stop.set()

    task = asyncio.create_task(part)
    task.add_done_callback(end)
    return task


def _errors(tasks: "Iterable[asyncio.Task[None]]") -> Iterator[BaseException]:
    yield from (error for task in tasks if not task.cancelled() and (error := task.exception()))


async def _leave_soon(limit: asyncio.Timeout, pids: AbstractSet[int]) -> None:
    """Limit what is reported to Prefect at the end, counted from when no run lives: it may be away."""
    idle_since = None
    while True:
        now = asyncio.get_running_loop().time()
        idle_since = None if pids else idle_since or now
        limit.reschedule(idle_since and idle_since + LEAVE_SECONDS)
        await asyncio.sleep(LOOK_SECONDS)


async def let_runs_go(pids: AbstractSet[int], grace: float = GRACE_SECONDS) -> None:
    """Ask the processes of runs to leave their jobs, until cancelled.

    One that does not in time is killed: it loses its open chunk only; its job is found to be lost and can be retried.

    Args:
        pids: of the runs that live; looked at again and again, as one may just be about to start.
        grace: seconds that a run has for the rest of its chunk.
    """
    asked: dict[int, float] = {}
    while True:
        for pid in pids - asked.keys():
            asked[pid] = time.monotonic()
            _signal(pid, signal.SIGTERM)
        for pid in [pid for pid, since in asked.items() if pid in pids and time.monotonic() > since + grace]:
            _signal(pid, signal.SIGKILL)
        await asyncio.sleep(LOOK_SECONDS)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
