"""The worker of the work pool ``batch-jobs``: takes up runs of jobs as soon as they are due, each in a warm process."""

import asyncio
import logging
import os
import signal
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import TERMINAL_STATES, StateType
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound
from prefect.settings import get_current_settings
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult
from pydantic import Field

from batch_jobs.deployments.worker.left_runs import BEAT_SECONDS, give_back_left_runs, taken_up
from batch_jobs.deployments.worker.processes import RunProcess, end_left, start_process
from batch_jobs.deployments.worker.run_end import RunEnds
from batch_jobs.deployments.worker.run_process import IN_ORDER
from batch_jobs.flows.database import require_current
from batch_jobs.flows.errors import PrefectAway, RevisionDiffers
from batch_jobs.flows.prefect.listener import watch_states
from batch_jobs.flows.workspace import Workspace

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from prefect.client.schemas.objects import Flow, FlowRun, WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

WORK_POOL = "batch-jobs"
#: Seconds between two questions for runs that are due; mostly an event is quicker.
QUERY_SECONDS = 2.0
#: Seconds between two questions whether a run that lives here is to be canceled or is over; mostly an event is quicker.
ENDING_SECONDS = 10.0
#: How long a run that is canceled has for the rest of its chunk.
CANCEL_GRACE_SECONDS = 30.0
#: How long the process of a run lives at most that is over, counted from when it is noticed.
OVER_GRACE_SECONDS = 30.0

logger = logging.getLogger(__name__)


class JobConfiguration(BaseJobConfiguration):
    """How the process of one run is started; without a ``command`` it is a warm one."""

    working_dir: Path | None = None

    def prepare_for_flow_run(
        self,
        flow_run: "FlowRun",
        deployment: "DeploymentResponse | None" = None,
        flow: "Flow | None" = None,
        work_pool: "WorkPool | None" = None,
        worker_name: str | None = None,
        worker_id: UUID | None = None,
    ) -> None:
        """Add what the run's process needs to know of it; a command that nobody named stays away."""
        command = self.command
        super().prepare_for_flow_run(flow_run, deployment, flow, work_pool, worker_name, worker_id)
        self.command = command
        self.env = {**os.environ, **self.env}


class JobVariables(BaseVariables):
    """What the work pool, a deployment or a run may say of the process."""

    command: str | None = Field(
        default=None, description="The command that a run is started by, instead of a process that is warm already."
    )
    working_dir: Path | None = Field(
        default=None, description="The directory that runs are in; without one, each has an empty one of its own."
    )


class JobWorker(BaseWorker[JobConfiguration, JobVariables, BaseWorkerResult]):
    """Takes up runs when Prefect's events name them, and ends those that are canceled.

    Args:
        workspace: has the jobs that runs are of.
        limit: how many runs may live at a time.
    """

    type = WORK_POOL
    job_configuration = JobConfiguration
    job_configuration_variables = JobVariables

    def __init__(self, workspace: Workspace, limit: int | None = None) -> None:
        super().__init__(work_pool_name=WORK_POOL, heartbeat_interval_seconds=BEAT_SECONDS)
        self.pids: set[int] = set()
        self._workspace = workspace
        self._most = limit or get_current_settings().runner.process_limit
        self._runs: dict[UUID, asyncio.Task[None]] = {}
        self._processes: dict[UUID, RunProcess] = {}
        self._canceled: set[UUID] = set()
        self._over: set[UUID] = set()
        self._due = asyncio.Event()
        self._due.set()
        self._takes_runs = True
        self._leaves_runs = False

    def take_no_more(self) -> None:
        """Leave runs that are due to others."""
        self._takes_runs = False

    async def teardown(self, *exc_info: Any) -> None:
        """Wait for the runs that live, and until their ends are reported."""
        try:
            while self._runs:
                await asyncio.wait(self._runs.values())
        finally:
            for task in self._runs.values():
                task.cancel()
            await super().teardown(*exc_info)

    async def until_due(self) -> None:
        """Wait until a run may be due: an event named one, one that lived has ended, or some seconds are over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._due.wait(), QUERY_SECONDS)
        self._due.clear()

    async def watch_events(self) -> None:
        """Act on the events of runs that are to begin or to be canceled, until cancelled."""

        async def on_state(run_id: str, state_type: str) -> None:
            if state_type == StateType.CANCELLING.value:
                await self._cancel(UUID(run_id))
            else:
                self._due.set()

        await watch_states((StateType.SCHEDULED.value, StateType.CANCELLING.value), on_state)

    async def poll_ending(self) -> None:
        """Ask Prefect which of the runs that live here are to be canceled, as events may be missed, or are over.

        The process of one that is over is killed where it has not ended by itself in time.
        """
        if not self._runs:
            return
        ending = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING, *TERMINAL_STATES]))
        ours = FlowRunFilterId(any_=list(self._runs))
        over = set()
        for run in await self.client.read_flow_runs(flow_run_filter=FlowRunFilter(id=ours, state=ending)):
            if run.state_type is StateType.CANCELLING:
                await self._cancel(run.id)
            else:
                over.add(run.id)
        for run_id in over & self._processes.keys() - self._over:
            self._kill_after(self._processes[run_id], OVER_GRACE_SECONDS)
        self._over = over

    async def take_back_left(self) -> None:
        """Let runs be due again that a worker which is gone took up and never began."""
        await give_back_left_runs(self.client, self.work_pool.name, self.name)

    async def get_and_submit_flow_runs(self) -> "list[FlowRun]":
        """Take up as many of the runs that are due as may live at a time, and return them.

        Prefect's own way asks its server seven times for each before it begins; and a server that goes away meanwhile
        ends the whole worker.
        """
        free = self._most - len(self._runs)
        if not self._takes_runs or free <= 0:
            return []
        due = await self.client.get_scheduled_flow_runs_for_work_pool(
            self.work_pool.name, scheduled_before=datetime.now(UTC) + timedelta(seconds=QUERY_SECONDS)
        )
        taken = [one.flow_run for one in due if one.flow_run.id not in self._runs][:free]
        if not taken or not await self._is_of_its_release():
            return []
        for flow_run in taken:
            self._runs[flow_run.id] = asyncio.create_task(self._take_up(flow_run))
        return taken

    async def run(
        self,
        flow_run: "FlowRun",
        configuration: JobConfiguration,
        task_status: "TaskStatus[int] | None" = None,
    ) -> BaseWorkerResult:
        """Run it in a process until that has ended and Prefect knows; report the process's id to ``task_status``."""
        environment = {name: value for name, value in configuration.env.items() if value is not None}
        with TemporaryDirectory(prefix="batch-jobs-") as folder:
            process = await start_process(environment, configuration.working_dir or Path(folder), configuration.command)
            if task_status is not None:
                task_status.started(process.pid)
            code = await self._end_of(flow_run.id, process)
        if configuration.command and code == 0:  # a work pool's own command says no more of an end in order
            code = IN_ORDER
        ends = RunEnds(self.client, self._workspace)
        await ends.report(flow_run.id, code, is_canceled=flow_run.id in self._canceled, is_left=not self._takes_runs)
        return BaseWorkerResult(status_code=0 if code == IN_ORDER else code, identifier=_identifier(process))

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: JobConfiguration, grace_seconds: int = 30
    ) -> None:
        """End a process of a run of this worker.

        Raises:
            InfrastructureNotAvailable: it is on another machine.
            InfrastructureNotFound: it does not live any more, or is none of this worker.
        """
        if not infrastructure_pid.startswith(f"{socket.gethostname()}:"):
            raise InfrastructureNotAvailable(f"{infrastructure_pid} is not on {socket.gethostname()}")
        for process in self._processes.values():
            if _identifier(process) == infrastructure_pid:
                self._stop(process, grace_seconds)
                await process.end()
                return
        raise InfrastructureNotFound(f"{infrastructure_pid} is no process of {self.name}")

    async def _is_of_its_release(self) -> bool:
        """Whether the job database is as this program knows it; if not, runs are left to workers of another release."""
        try:
            await asyncio.to_thread(require_current, self._workspace.jobs)
        except RevisionDiffers as error:
            if not self._leaves_runs:
                logger.warning("runs that are due are left to others: %s", error)
            self._leaves_runs = True
            return False
        self._leaves_runs = False
        return True

    async def _take_up(self, flow_run: "FlowRun") -> None:
        try:
            configuration = await self._ready(flow_run)
            if configuration is not None:
                await self.run(flow_run, configuration)
        except Exception as error:  # what becomes of one run is no matter of the others
            logger.warning("run %s did not come to its end here: %s", flow_run.id, error)
            with suppress(Exception):
                await RunEnds(self.client, self._workspace).give_back(flow_run.id, error)
        finally:
            self._runs.pop(flow_run.id, None)
            self._canceled.discard(flow_run.id)
            self._due.set()

    async def _ready(self, flow_run: "FlowRun") -> JobConfiguration | None:
        """How to start a run that is this worker's now; ``None`` where it must wait or another worker has it."""
        resolving = asyncio.create_task(
            self.job_configuration.resolve_for_flow_run(
                flow_run,
                client=self.client,
                work_pool=self.work_pool,
                worker_name=self.name,
                worker_id=self.backend_id,
            )
        )
        try:
            answer: OrchestrationResult[Any] = await self.client.set_flow_run_state(flow_run.id, taken_up(self.name))
        except BaseException:
            resolving.cancel()
            raise
        configuration = await resolving
        return configuration if answer.status is SetStateStatus.ACCEPT else None

    async def _end_of(self, run_id: UUID, process: RunProcess) -> int:
        self._processes[run_id] = process
        self.pids.add(process.pid)
        try:
            if run_id in self._canceled:
                self._stop(process, CANCEL_GRACE_SECONDS)
            code = await process.end()
            end_left(process)
            return code
        finally:
            self.pids.discard(process.pid)
            del self._processes[run_id]

    async def _cancel(self, run_id: UUID) -> None:
        if run_id not in self._runs or run_id in self._canceled:
            return
        self._canceled.add(run_id)
        with suppress(PrefectAway):  # the job first, as its process looks there for why it is to stop
            await asyncio.to_thread(self._workspace.mirror.follow, str(run_id))
        if run_id in self._processes:
            self._stop(self._processes[run_id], CANCEL_GRACE_SECONDS)

    def _stop(self, process: RunProcess, grace: float) -> None:
        """Ask a process to end, and kill it when it has not done so in time."""

        self._signal(process, signal.SIGTERM)
        self._kill_after(process, grace)

    def _kill_after(self, process: RunProcess, grace: float) -> None:
        asyncio.get_running_loop().call_later(grace, self._signal, process, signal.SIGKILL)

    def _signal(self, process: RunProcess, number: signal.Signals) -> None:
        if process in self._processes.values():
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


class ProcessPoolWorker(JobWorker):
    """The same for a work pool of Prefect's type ``process``."""

    type = "process"

    @classmethod
    def __dispatch_key__(cls) -> str:
        return f"{WORK_POOL}-process"  # by its type Prefect finds the plain one


def _identifier(process: RunProcess) -> str:
    return f"{socket.gethostname()}:{process.pid}"
