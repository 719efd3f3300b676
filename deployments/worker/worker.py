"""A worker of the work pool ``batch-jobs``: deploys every strategy there is here, and runs jobs as processes."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskStatus
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import load_flow_from_flow_run
from prefect.runner._flow_run_executor import FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle
from prefect.settings import get_current_settings
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from batch_jobs.deployments.worker.deploy import job_deployments
from batch_jobs.deployments.worker.prefect_outage import outlive_outages, tell_outages
from batch_jobs.deployments.worker.shutdown import Say, go_on_until_stopped
from batch_jobs.deployments.worker.warm_process import WarmStarter, preload
from batch_jobs.flows.prefect.upkeep import again_and_again, keep_up
from batch_jobs.flows.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

WORK_POOL = "batch-jobs"
#: Seconds between two questions for work; Prefect's own 15 are long for somebody who waits.
QUERY_SECONDS = 2.0


class JobWorker(ProcessWorker):
    """A process worker whose runs need not import anything, and which can let go of them in order.

    A work pool that names a command has its runs started by that, as by any process worker.
    """

    type = "process"

    @classmethod
    def __dispatch_key__(cls) -> str:
        return WORK_POOL  # by its type Prefect finds the plain one

    def __init__(self) -> None:
        super().__init__(work_pool_name=WORK_POOL, limit=get_current_settings().runner.process_limit)
        self.pids: set[int] = set()
        self._takes_runs = True

    async def get_and_submit_flow_runs(self) -> "list[FlowRun]":
        """Take up what is due, unless the worker is stopping."""
        return await super().get_and_submit_flow_runs() if self._takes_runs else []

    def take_no_more(self) -> None:
        """Leave runs that are due to others."""
        self._takes_runs = False

    async def run(
        self,
        flow_run: "FlowRun",
        configuration: ProcessJobConfiguration,
        task_status: TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """Run it in a process until that ends; tell ``task_status`` its pid."""
        told = task_status or anyio.TASK_STATUS_IGNORED
        if configuration._command_configured:
            return await super().run(flow_run, configuration, told)
        with TemporaryDirectory(suffix="prefect") as folder:
            return await self._run_warm(flow_run, configuration, Path(configuration.working_dir or folder), told)

    async def _run_warm(
        self, flow_run: "FlowRun", configuration: ProcessJobConfiguration, folder: Path, told: TaskStatus[int]
    ) -> ProcessWorkerResult:
        async with FlowRunExecutorContext() as context, anyio.create_task_group() as group:
            starter = WarmStarter(configuration.env, folder, context.control_channel, self.pids)
            executor = context.create_executor(flow_run, starter, load_flow_from_flow_run, propose_submitting=False)
            handle: ProcessHandle = await group.start(executor.submit)
            told.started(handle.pid or 0)
        return ProcessWorkerResult(status_code=handle.returncode or 0, identifier=str(handle.pid))


async def work(workspace: Workspace, ready: Callable[[], Coroutine[Any, Any, None]], say: Say) -> None:
    """Deploy, and work until SIGINT or SIGTERM.

    Args:
        workspace: whose strategies and jobs.
        ready: called when runs are taken up from now on; what it does goes on beside the work, until the end.
        say: what to tell the person at the terminal with.
    """
    outlive_outages()
    preload()
    await _deploy(workspace)
    worker = JobWorker()
    parts = (
        keep_up(workspace),
        again_and_again(worker.get_and_submit_flow_runs, QUERY_SECONDS),
        again_and_again(worker.sync_with_backend, worker.heartbeat_interval_seconds),
        tell_outages(get_current_settings().api.url or "", say),
        ready(),
    )
    await go_on_until_stopped(worker, parts, say)


async def _deploy(workspace: Workspace) -> None:
    async with get_client() as client:
        with suppress(ObjectAlreadyExists):
            await client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type=JobWorker.type))
    for deployment in job_deployments(workspace, WORK_POOL):
        await deployment.aapply()
