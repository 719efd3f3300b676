"""A worker of the work pool ``batch-jobs``: deploys every strategy there is here, and runs jobs as processes."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from deployments.deploying import job_deployments
from deployments.stopping import STOPPING, let_runs_go, told_to_stop
from flows.upkeep import keep_up
from flows.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

WORK_POOL = "batch-jobs"

Say = Callable[[str], None]


class StoppableWorker(ProcessWorker):
    """A process worker that can stop taking up runs while those it has are ended in order."""

    #: Prefect keeps its worker types by this name, so that the plain one stays what it is.
    type = "process"
    takes_runs = True

    async def get_and_submit_flow_runs(self) -> "list[FlowRun]":
        """Take up what is due, unless the worker is stopping."""
        return await super().get_and_submit_flow_runs() if self.takes_runs else []


async def work(workspace: Workspace, say: Say) -> None:
    """Deploy, and work until SIGINT or SIGTERM."""
    await _deploy(workspace)
    worker = StoppableWorker(work_pool_name=WORK_POOL)
    stop = told_to_stop()
    working = asyncio.create_task(worker.start(printer=lambda *_: None))
    upkeep = asyncio.create_task(keep_up(workspace))
    say(f"work pool    {WORK_POOL}\nworking on   {', '.join(sorted(workspace.strategies.by_type))}\nCtrl-C stops")
    await asyncio.wait({working, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        say(STOPPING)
        worker.takes_runs = False
        await asyncio.to_thread(let_runs_go)
    for task in (working, upkeep):
        task.cancel()
    await asyncio.wait({working, upkeep})


async def _deploy(workspace: Workspace) -> None:
    async with get_client() as client:
        with suppress(ObjectAlreadyExists):
            await client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"))
    for deployment in job_deployments(workspace, WORK_POOL):
        await deployment.aapply()
