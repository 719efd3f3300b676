"""``worker``: runs jobs here for the Prefect server that is named."""

import asyncio
from contextlib import nullcontext
from functools import partial

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.cli.options import Verbose
from batch_jobs.deployments.errors import NoPrefectNamed
from batch_jobs.deployments.hangup import outlive_terminal
from batch_jobs.deployments.prefect.connection import use_prefect
from batch_jobs.deployments.worker.environment import set_run_environment
from batch_jobs.deployments.worker.run_output import run_log, runs_print_to
from batch_jobs.flows.home import close_home
from batch_jobs.flows.prefect.address import find_prefect
from batch_jobs.flows.workspace import current_workspace


def worker(verbose: Verbose = False) -> None:
    """Deploy every strategy to the work pool batch-jobs and run its jobs here; Ctrl-C stops it."""
    workspace = current_workspace()
    outlive_terminal()
    workspace.service.waiting()  # a database that does not answer is reported before anything is started
    known = find_prefect(workspace.settings.home)
    if known is None:
        raise NoPrefectNamed
    use_prefect(known)
    set_run_environment(workspace.settings, verbose)
    from batch_jobs.deployments.worker.prefect_outage import report_outages
    from batch_jobs.deployments.worker.service import run_jobs
    from batch_jobs.deployments.worker.worker import WORK_POOL

    async def ready() -> None:
        working_on = ", ".join(sorted(workspace.strategies.by_type))
        output.out.print(
            f"Prefect      {known.api_url}\nwork pool    {WORK_POOL}\nworking on   {working_on}\n"
            f"runs print   to {run_log(workspace.settings.home)}, unless --verbose is given\nCtrl-C stops"
        )

    beside = (ready, partial(report_outages, known.api_url, output.out.print))
    home = close_home(workspace.settings.home)
    with nullcontext() if verbose else runs_print_to(run_log(home)):
        asyncio.run(run_jobs(workspace, beside, output.out.print))
