"""Imported where runs are forked from: their job database is known there already, and to be of this version."""

import contextlib

from batch_jobs.flows.workspace import current_workspace

with contextlib.suppress(Exception):  # a database that is away now is asked by the run itself
    current_workspace().store.by_flow_run("")
    current_workspace().jobs.dispose()  # a connection is not to be shared
