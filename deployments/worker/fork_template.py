"""Imported last where runs are forked from: what each of them would do first, and would do again, is done there."""

import contextlib
import gc

import anyio

from batch_jobs.flows.workspace import current_workspace

with contextlib.suppress(Exception):  # a database that is away now is asked by the run itself
    current_workspace().store.by_flow_run("")
    current_workspace().jobs.dispose()  # a connection is not to be shared
anyio.run(anyio.sleep, 0)  # it imports what it runs on
gc.freeze()  # else a run's first collection goes over all that was imported
