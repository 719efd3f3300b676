"""Ending a process that runs jobs: each run finishes its chunk and is left to the next worker."""

import asyncio
import signal
import time
from collections.abc import Iterable

import psutil

#: What is said to whoever stops a process that runs jobs.
STOPPING = "stopping; runs finish their chunk and are left to the next worker"

GRACE_SECONDS = 60.0
LOOK_SECONDS = 0.1


def told_to_stop() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set, instead of what they did before to this process."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def let_runs_go(pids: Iterable[int], grace: float = GRACE_SECONDS) -> int:
    """Tell the processes of runs to leave their jobs, wait for them, and return how many had to be killed.

    A killed one loses its open chunk only; its job is found to be lost and can be retried.
    """
    runs = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    for run in runs:
        _signal(run, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while (alive := [run for run in runs if _lives(run)]) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    for run in alive:
        _signal(run, signal.SIGKILL)
    return len(alive)


def _lives(process: psutil.Process) -> bool:
    # only looked at: Prefect waits for it, and a process can be waited for once
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
