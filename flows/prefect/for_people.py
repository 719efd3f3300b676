"""What people are shown of Prefect: the last lines of a run, the schedules of our types, and where to see more."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from batch_jobs.flows.prefect.client import PrefectRuns

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import DeploymentSchedule
    from prefect.client.schemas.responses import DeploymentResponse

#: The flow whose deployments create a job at each tick, see ``flows.scheduled``.
CREATING = "create-batch-job"
LAST_LINES = 30
#: Deployments that one question to Prefect may give; its API has 200 at most.
AT_ONCE = 200
MOST_DEPLOYMENTS = 1_000


@dataclass(frozen=True)
class LogLine:
    """A line of a run's log; ``level`` is as ``logging`` has it."""

    at: datetime
    level: int
    message: str


@dataclass(frozen=True)
class ShownSchedule:
    """A schedule of a deployment: which type it is for, when it is due, and where Prefect shows it."""

    type: str
    deployment: str
    when: str
    time_zone: str
    is_active: bool
    next_run: datetime | None
    link: str | None


def last_lines(prefect: PrefectRuns, run_id: str, limit: int = LAST_LINES) -> Sequence[LogLine]:
    """The last lines of a run's log, oldest first.

    Args:
        prefect: has them.
        run_id: the run.
        limit: how many at most.

    Raises:
        PrefectAway: it does not answer.
    """
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.client.schemas.sorting import LogSort

    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(run_id)]))
    with prefect.client() as client:
        found = client.read_logs(wanted, limit=limit, sort=LogSort.TIMESTAMP_DESC)
    return [LogLine(line.timestamp, line.level, line.message) for line in reversed(found)]


def page_of(prefect: PrefectRuns, kind: str, object_id: str) -> str | None:
    """Where Prefect's own page shows a ``flow-run`` or a ``deployment``; ``None`` where no Prefect is known."""
    from prefect.utilities.urls import url_for

    known = prefect.known()
    return url_for(kind, object_id, default_base_url=known.api_url.removesuffix("/api")) if known else None


def schedules(prefect: PrefectRuns, types: Collection[str]) -> list[ShownSchedule]:
    """The schedules that Prefect has for some types, by type.

    Args:
        prefect: has them.
        types: which are shown.

    Raises:
        PrefectAway: it does not answer.
    """
    with prefect.client() as client:
        found = [
            entry
            for flow_name, deployment in _deployments(client, [*types, CREATING])
            for entry in _of_deployment(prefect, client, flow_name, deployment)
            if entry.type in types
        ]
    return sorted(found, key=lambda entry: (entry.type, entry.deployment))


def _deployments(client: "SyncPrefectClient", names: list[str]) -> Iterator[tuple[str, "DeploymentResponse"]]:
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName

    wanted = FlowFilter(name=FlowFilterName(any_=names))
    flows: dict[UUID, str] = {}
    for start in range(0, MOST_DEPLOYMENTS, AT_ONCE):
        page = client.read_deployments(flow_filter=wanted, limit=AT_ONCE, offset=start)
        for deployment in page:
            if deployment.schedules:
                if deployment.flow_id not in flows:
                    flows[deployment.flow_id] = client.read_flow(deployment.flow_id).name
                yield flows[deployment.flow_id], deployment
        if len(page) < AT_ONCE:
            return


def _of_deployment(
    prefect: PrefectRuns, client: "SyncPrefectClient", flow_name: str, deployment: "DeploymentResponse"
) -> Iterator[ShownSchedule]:
    due = _next_run(client, deployment) if not deployment.paused else None
    for entry in deployment.schedules:
        parameters = {**deployment.parameters, **entry.parameters}
        is_active = entry.active and not deployment.paused
        when, zone = _when(entry)
        yield ShownSchedule(
            type=str(parameters.get("type", "")) if flow_name == CREATING else flow_name,
            deployment=f"{flow_name}/{deployment.name}",
            when=when,
            time_zone=zone,
            is_active=is_active,
            next_run=due if is_active else None,
            link=page_of(prefect, "deployment", str(deployment.id)),
        )


def _next_run(client: "SyncPrefectClient", deployment: "DeploymentResponse") -> datetime | None:
    """When the next run that a schedule made is due; Prefect makes those of the next days ahead."""
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
        ),
        sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC,
        limit=10,
    )
    return next((run.next_scheduled_start_time for run in runs if run.auto_scheduled), None)


def _when(entry: "DeploymentSchedule") -> tuple[str, str]:
    """A schedule in its own notation, and its time zone."""
    schedule: Any = entry.schedule
    notation = next((getattr(schedule, name) for name in ("cron", "rrule", "interval") if hasattr(schedule, name)), "")
    return str(notation), str(schedule.timezone or "UTC")
