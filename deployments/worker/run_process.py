"""Is the process of a run (``python -m batch_jobs.deployments.worker.run_process``): Prefect's engine, and an end.

A process ends some seconds after its run has, whatever a strategy has left in it: a thread, a pool that waits, a hook
of ``atexit``. Else its place among the runs that live at a time would never be free again.
"""

import os
import runpy
import sys
import threading
import time
import warnings
from typing import Any, NoReturn

from prefect.context import SyncClientContext
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

from batch_jobs.deployments.hangup import outlive_terminal
from batch_jobs.deployments.worker.prefect_outage import quieten_outages
from batch_jobs.flows.tracing import flush_traces, start_tracing
from batch_jobs.strategies.sdk.errors import exit_code

ENGINE = "prefect.engine"
#: The exit code of a process whose run has been looked after to its end; with 0 whoever calls ``os._exit`` can leave.
IN_ORDER = 100
#: How long the end of a run waits for what is still to be sent to Prefect, lines and events each.
SEND_SECONDS = 5.0
#: How long it waits for what a strategy has left behind.
LEFT_SECONDS = 5.0


def run_engine() -> NoReturn:
    """Run the engine for the run that the environment names, and end this process within seconds of its end."""
    code = 1
    try:
        code = _engine_s_code() or IN_ORDER
    finally:
        flush_traces()
        if not _all_is_sent():
            os._exit(code)  # in order, Prefect would ask a server that is away for a minute
        sys.stdout.flush()
        threading.Thread(target=_end, args=(code,), name="end", daemon=True).start()
    sys.exit(code)


def _engine_s_code() -> int:
    quieten_outages()
    outlive_terminal()
    start_tracing()
    sys.argv = [ENGINE]
    try:
        with warnings.catch_warnings(), SyncClientContext.get_or_create():  # one client for all that the run asks
            warnings.filterwarnings("ignore", message=f"'{ENGINE}' found in sys.modules", category=RuntimeWarning)
            runpy.run_module(ENGINE, run_name="__main__")
    except SystemExit as ending:
        return exit_code(ending)
    return 0


def _end(code: int) -> None:
    """End this process where it has not ended in order by then."""
    time.sleep(LEFT_SECONDS)
    left = ", ".join(thread.name for thread in threading.enumerate() if not thread.daemon)
    sys.stderr.write(f"a run has ended and its process has not ({left}); it is ended\n")
    os._exit(code)


def _all_is_sent() -> bool:
    """Whether Prefect has the run's last lines and events, after some seconds."""
    left: set[Any] = set()
    for worker in (APILogWorker, EventsWorker):
        ended: Any = worker.drain_all(timeout=SEND_SECONDS)
        left |= ended[1]
    return not left


if __name__ == "__main__":
    run_engine()
