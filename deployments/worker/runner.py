"""A runner of every deployment on one machine, for ``serve``.

It asks Prefect for the runs of its own deployments only. A worker asks for those of a work pool, which an embedded
Prefect on SQLite bears badly: under a burst of jobs its writes block each other for a minute.
"""

import os
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from prefect.runner import Runner

from batch_jobs.deployments.worker.deploy import job_deployments
from batch_jobs.deployments.worker.prefect_outage import outlive_outages
from batch_jobs.deployments.worker.shutdown import Say, go_on_until_stopped
from batch_jobs.deployments.worker.warm_process import WarmStarter, preload
from batch_jobs.flows.prefect.client import DEPLOYMENT_NAME
from batch_jobs.flows.prefect.upkeep import again_and_again, keep_up
from batch_jobs.flows.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

#: Seconds between two questions for runs that are due.
QUERY_SECONDS = 2


class JobRunner(Runner):
    """Prefect's runner, whose runs need not import anything, and which asks on however long Prefect is away."""

    def __init__(self) -> None:
        super().__init__(name=DEPLOYMENT_NAME, query_seconds=QUERY_SECONDS, pause_on_shutdown=False)
        self.pids: set[int] = set()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._scheduled_run_poller._resolve_starter = self._starter_of  # Prefect has no other place for it
        return self

    async def take_up_runs(self) -> None:
        """Start what is due, unless no more are to be taken up."""
        await self._get_and_submit_flow_runs()  # type: ignore[no-untyped-call]

    def take_no_more(self) -> None:
        """Leave runs that are due to others."""
        self.stopping = True

    def _starter_of(self, flow_run: "FlowRun") -> WarmStarter:
        return WarmStarter(os.environ, Path.cwd(), self._control_channel, self.pids)


async def serve_runs(workspace: Workspace, beside: Iterable[Callable[[], Coroutine[Any, Any, None]]], say: Say) -> None:
    """Deploy, and run jobs until SIGINT or SIGTERM.

    Args:
        workspace: whose strategies and jobs.
        beside: called when runs are taken up from now on; what they do goes on beside that, until the end.
        say: what to tell the person at the terminal with.
    """
    outlive_outages()
    preload()
    runner = JobRunner()
    for deployment in job_deployments(workspace):
        await runner.aadd_deployment(deployment)
    parts = (keep_up(workspace), again_and_again(runner.take_up_runs, QUERY_SECONDS))
    await go_on_until_stopped(runner, (*parts, *(part() for part in beside)), say)
