"""What people are shown of a real Prefect."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, LogCreate
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from batch_jobs.flows.prefect.client import PrefectRuns
from batch_jobs.flows.prefect.for_people import CREATING, last_lines, page_of, schedules
from support.servers import wait_until

pytestmark = pytest.mark.usefixtures("prefect_here")


def deployed(client: SyncPrefectClient, flow: str, schedule: DeploymentScheduleCreate, **parameters: str) -> str:
    """A deployment of a flow of this name, with a schedule."""
    flow_id = client.create_flow_from_name(flow)
    made = client.create_deployment(flow_id, f"nightly-{uuid4()}", schedules=[schedule], parameters=parameters)
    return str(made)


def test_the_last_lines_of_a_run_come_in_their_order_and_a_link_leads_there():
    with get_client(sync_client=True) as client:
        deployment = deployed(
            client, f"type-{uuid4()}", DeploymentScheduleCreate(schedule=CronSchedule(cron="0 7 * * *"))
        )
        run = client.create_flow_run_from_deployment(deployment)
        begun = datetime.now(UTC)
        client.create_logs(
            [
                LogCreate(
                    name="prefect.flow_runs",
                    level=20,
                    message=f"line {number}",
                    timestamp=begun + timedelta(seconds=number),
                    flow_run_id=run.id,
                )
                for number in range(40)
            ]
        )
    prefect = PrefectRuns()

    wait_until(lambda: len(last_lines(prefect, str(run.id))) == 30, what="the log")
    assert [line.message for line in last_lines(prefect, str(run.id), 3)] == ["line 37", "line 38", "line 39"]
    assert (page_of(prefect, "flow-run", str(run.id)) or "").endswith(f"/runs/flow-run/{run.id}")


def test_schedules_are_those_of_the_wanted_types_with_their_next_run():
    one, other = f"type-{uuid4()}", f"type-{uuid4()}"
    with get_client(sync_client=True) as client:
        at_seven = CronSchedule(cron="0 7 * * *", timezone="Europe/Berlin")
        own = deployed(client, one, DeploymentScheduleCreate(schedule=at_seven, active=True))
        creates = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(hours=6)), active=False)
        deployed(client, CREATING, creates, type=one)
        deployed(client, CREATING, creates, type=other)
        deployed(client, other, creates)
    prefect = PrefectRuns()
    wait_until(lambda: any(entry.next_run for entry in schedules(prefect, [one])), 60, "Prefect's scheduler")

    creating, by_flow = sorted(schedules(prefect, [one]), key=lambda entry: entry.is_active)

    assert (by_flow.type, by_flow.when, by_flow.time_zone) == (one, "0 7 * * *", "Europe/Berlin")
    assert by_flow.next_run is not None
    assert by_flow.next_run.astimezone(UTC) > datetime.now(UTC)
    assert (by_flow.link or "").endswith(f"/deployments/deployment/{own}")
    assert (creating.type, creating.when, creating.is_active, creating.next_run) == (one, "6:00:00", False, None)
