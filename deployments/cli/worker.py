"""``worker``: runs jobs here for the Prefect server that is named."""

import asyncio
import os

from deployments.cli import output
from deployments.cli.options import Verbose
from deployments.errors import NoPrefectNamed
from deployments.prefect_api import find_prefect, use_prefect
from deployments.run_environment import set_run_environment
from flows.workspace import current_workspace

#: Seconds between two questions for work; Prefect's own 15 are long for somebody who waits.
QUERY_SECONDS = "2"


def worker(verbose: Verbose = False) -> None:
    """Deploy every strategy to the work pool batch-jobs and run its jobs here; Ctrl-C stops it."""
    workspace = current_workspace()
    workspace.service.waiting()  # a database that does not answer is to be told before anything is started
    known = find_prefect(workspace.settings.home)
    if known is None:
        raise NoPrefectNamed
    use_prefect(known)
    set_run_environment(workspace.settings, verbose)
    os.environ.setdefault("PREFECT_WORKER_QUERY_SECONDS", QUERY_SECONDS)
    from deployments.worker import work

    output.out.print(f"Prefect      {known.api_url}")
    asyncio.run(work(workspace, output.out.print))
