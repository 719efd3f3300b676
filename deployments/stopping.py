"""Ending a process that runs jobs: each run finishes its chunk and is left to the next worker."""

import asyncio
import signal
import time

import psutil

#: What is said to whoever stops a process that runs jobs.
STOPPING = "stopping; runs finish their chunk and are left to the next worker"

GRACE_SECONDS = 60.0
LOOK_SECONDS = 0.1
#: How Prefect starts the process of a run.
RUN_MODULES = ("prefect.engine", "prefect.flow_engine")


def told_to_stop() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set, instead of what they did before to this process."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def let_runs_go(grace: float = GRACE_SECONDS) -> int:
    """Tell every run that this process started to leave its job, wait for them, and return how many had to be killed.

    A killed one loses its open chunk only; its job is found to be lost and can be retried.
    """
    runs = [child for child in psutil.Process().children(recursive=True) if _is_run(child)]
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


def _is_run(process: psutil.Process) -> bool:
    try:
        return any(module in process.cmdline() for module in RUN_MODULES)
    except psutil.Error:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
