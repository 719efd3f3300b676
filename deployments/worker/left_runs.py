"""Runs that a worker took up and never began, as it is gone: they are due again.

Prefect keeps such a run Pending for ever, with its place among those that may run at a time. A worker that only seemed
to be gone does no harm: of two processes of one run one gets the job, see ``flows.runs.run``.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkerFilter,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Pending

from batch_jobs.flows.prefect.client import rescheduled

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, State

#: Seconds between two signs of life of a worker, and between two looks for runs that one has left.
BEAT_SECONDS = 10
#: How long a worker is silent that is gone.
SILENT = timedelta(seconds=30)
#: Prefect remembers every worker there was; these are asked for, by a clock that may differ from its own.
RECENT = timedelta(hours=1)
#: How the message of a Pending state begins that one of our workers has set; its name follows.
TAKEN_UP = "taken up by "


def taken_up(worker: str) -> "State[Any]":
    """The state of a run that a worker has taken up."""
    return Pending(message=f"{TAKEN_UP}{worker}")


async def give_back_left_runs(client: "PrefectClient", pool: str, worker: str) -> None:
    """Let the runs be due again that a worker which is gone has taken up.

    Args:
        client: asks Prefect.
        pool: the work pool.
        worker: who looks; its own last sign of life says what time it is for Prefect.
    """
    pending = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING]))
    in_pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter(state=pending), work_pool_filter=in_pool)
    taken = [run for run in runs if _worker_of(run) not in (None, worker)]
    if not taken:
        return
    recent = WorkerFilter.model_validate({"last_heartbeat_time": {"after_": datetime.now(UTC) - RECENT}})
    heard_of = await client.read_workers_for_work_pool(pool, worker_filter=recent)
    workers = {one.name: one.last_heartbeat_time for one in heard_of}
    now = workers.get(worker)
    if now is None:
        return
    living = {name for name, beat in workers.items() if beat is not None and now - beat <= SILENT}
    for run in taken:
        since = run.state.timestamp if run.state else now
        if _worker_of(run) not in living and now - since > SILENT:
            why = f"{_worker_of(run)} took it up and was not heard of for {SILENT.total_seconds():g} s"
            await client.set_flow_run_state(run.id, rescheduled(why))


def _worker_of(run: "FlowRun") -> str | None:
    message = (run.state.message if run.state else None) or ""
    return message.removeprefix(TAKEN_UP) if message.startswith(TAKEN_UP) else None
