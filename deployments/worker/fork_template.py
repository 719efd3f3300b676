"""Imported last where runs are forked from: what each of them would do first, and would do again, is done there."""

import contextlib
import gc
import os

import anyio
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings

from batch_jobs.flows.workspace import current_workspace

os.setsid()  # a closed terminal is for the worker, which asks runs to end and ends this with itself
current_workspace().is_for_a_run = True
with contextlib.suppress(Exception):  # a database that is away now is asked by the run itself
    current_workspace().store.by_flow_run("")
    current_workspace().jobs.dispose()  # a connection is not to be shared
anyio.run(anyio.sleep, 0)  # it imports what it runs on
# a job has its own signs of life; the thread that gives Prefect's keeps each run's process for a second after its end
without_signs_of_life = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
if "heartbeat_frequency" not in get_current_settings().flows.model_fields_set:
    without_signs_of_life.__enter__()
gc.freeze()  # else a run's first collection goes over all that was imported
