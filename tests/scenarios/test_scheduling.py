"""Schedules create jobs: one a tick, with the policy for late ones, and at the time that was asked for."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule

from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.scheduled import create_batch_job
from support.servers import wait_until
from support.serving import Served, prefect_client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("workspace_served", ["postgres"], indirect=True, scope="module"),
]


@pytest.mark.long
def test_a_schedule_on_a_strategys_deployment_creates_jobs_by_schedule(served: Served):
    with prefect_client() as client:
        deployment = client.read_deployment_by_name("gated/batch-jobs")
        created = client.create_deployment_schedules(
            deployment.id, [(IntervalSchedule(interval=timedelta(seconds=10)), True)]
        )
        try:
            wait_until(lambda: any(job.trigger == "schedule" for job in served.workspace.service.list()), 100, "a tick")
        finally:
            client.delete_deployment_schedule(deployment.id, created[0].id)
    job = next(job for job in served.workspace.service.list() if job.trigger == "schedule")
    served.until_status(job, Status.COMPLETED)
    assert served.tally(job) == [1, 2, 3, 4]


def test_S27_two_schedulers_give_one_job_a_tick(served: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("batch_jobs.flows.scheduled.current_workspace", lambda: served.workspace)
    tick = datetime.now(UTC).replace(microsecond=0)
    deployment = uuid4()

    def run_of_a_scheduler() -> FlowRun:
        return FlowRun(flow_id=uuid4(), deployment_id=deployment, auto_scheduled=True, expected_start_time=tick)

    ids = []
    for run in (run_of_a_scheduler(), run_of_a_scheduler()):
        monkeypatch.setattr("batch_jobs.flows.scheduled.this_run", lambda of=run: of)
        ids.append(create_batch_job(type="gated", context={"key": "at {{ scheduled_time.strftime('%H:%M') }}"}))
    assert ids[0] == ids[1]
    job = served.workspace.service.get(ids[0])
    assert (job.trigger, job.context["key"]) == ("schedule", f"at {tick:%H:%M}")
    served.until_status(job, Status.COMPLETED)


def test_S27_a_tick_that_is_too_late_is_skipped_and_one_that_is_not_is_run(
    served: Served, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("batch_jobs.flows.scheduled.current_workspace", lambda: served.workspace)
    late = datetime.now(UTC) - timedelta(hours=2)
    run = FlowRun(flow_id=uuid4(), deployment_id=uuid4(), auto_scheduled=True, expected_start_time=late)
    monkeypatch.setattr("batch_jobs.flows.scheduled.this_run", lambda: run)
    skipped = create_batch_job(type="gated", context={"key": "too late"}, return_state=True)
    jobs = served.workspace.service.list(limit=1000)  # those of other tests' ticks may still come in
    assert (skipped.name, [job for job in jobs if job.context["key"] == "too late"]) == ("Skipped", [])
    created = create_batch_job(type="gated", skip_when_late_by=None)
    served.until_status(served.workspace.service.get(created), Status.COMPLETED)


def test_a_job_for_later_is_started_by_prefect_at_its_time(served: Served):
    at = datetime.now(UTC) + timedelta(seconds=8)
    job = served.workspace.service.create("gated", {"limit": 1}, start_at=at)
    assert (job.status, job.start_at) == (Status.CREATED, at)
    done = served.until_status(job, Status.COMPLETED)
    assert (done.processing_at or at) > at - timedelta(seconds=1)  # Prefect waits for whole seconds
