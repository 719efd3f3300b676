"""What the HTTP API takes and shows of partitions."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from batch_jobs.deployments.api.webhook import message
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.outbox import Delivery
from batch_jobs.flows.jobs.transitions import Action, Status
from support.api_server import Served
from support.jobs import partition, with_partitions

JOBS = "/admin/batch-jobs"
ENTRIES = [
    partition(1, "completed", rows=10, advanced=10, rows_per_second=5.0, attempt=1, where="worker-1:4711"),
    partition(2, "failed", rows=10, advanced=4, attempt=3, where="worker-2:4712", error="no such column"),
    partition(3),
]


def cut_job(api: Served, count: int = 20) -> Job:
    return with_partitions(api.workspace.store, api.job("alice", Status.PROCESSING), ENTRIES, count=count)


def test_a_job_is_made_with_a_number_of_partitions_and_shows_it(api_on_both: Served):
    alice = api_on_both.by("alice")

    made = alice.post(JOBS, json={"type": "noting", "context": {}, "partitions": 4})

    assert made.status_code == 201
    job = made.json()["batch_job"]
    assert job["partitions"] == 4
    assert api_on_both.workspace.service.get(job["id"]).partitions == 4
    assert alice.get(f"{JOBS}?fields=partitions").json()["batch_jobs"][0]["partitions"] == 4
    assert alice.post(JOBS, json={"type": "noting", "context": {}}).json()["batch_job"]["partitions"] is None


@pytest.mark.parametrize("number", [0, -1, 1_001, 2.5, "4", True, [4], {}])
def test_another_number_is_refused_in_medusas_words(api: Served, number: Any):
    answer = api.by("alice").post(JOBS, json={"type": "noting", "context": {}, "partitions": number})

    assert (answer.status_code, answer.json()["type"]) == (400, "invalid_data")
    assert answer.json()["message"] == "partitions must be a whole number from 1 to 1,000"
    assert list(api.workspace.service.list()) == []


def test_the_number_is_a_part_of_the_body_that_an_idempotency_key_stands_for(api_on_both: Served):
    def make(number: int) -> int:
        body = {"type": "noting", "context": {}, "partitions": number}
        return api_on_both.by("alice").post(JOBS, json=body, headers={"Idempotency-Key": "k"}).status_code

    assert [make(2), make(2), make(3)] == [201, 201, 409]


def test_a_job_has_its_partitions_and_a_list_leaves_them_out(api_on_both: Served):
    job, alice = cut_job(api_on_both), api_on_both.by("alice")

    single = alice.get(f"{JOBS}/{job.id}").json()["batch_job"]["result"]
    (listed,) = alice.get(JOBS).json()["batch_jobs"]

    assert single.pop("partitions") == [entry.model_dump(exclude_none=True) for entry in ENTRIES]
    assert listed["result"] == single


def test_where_a_partition_runs_is_for_those_who_run_jobs_and_not_for_those_who_look(api: Served):
    job = cut_job(api)

    def places(who: str) -> list[Any]:
        shown = api.by(who).get(f"{JOBS}/{job.id}").json()["batch_job"]["result"]["partitions"]
        assert [entry["name"] for entry in shown] == ["part 1", "part 2", "part 3"]
        return [entry.get("where") for entry in shown]

    assert places("alice") == places("root") == ["worker-1:4711", "worker-2:4712", None]
    assert places("vera") == [None, None, None]
    streamed = with_end(api, job)
    assert "part 2" in streamed
    assert "worker-2" not in streamed


def with_end(api: Served, job: Job) -> str:
    """What a viewer's stream of the job has, once it has ended."""
    api.workspace.store.move(job, Action.FAIL, who="test")
    return api.by("vera").get(f"{JOBS}/{job.id}/stream").text


def test_the_events_of_a_stream_have_the_partitions(api_on_both: Served):
    job = cut_job(api_on_both)
    api_on_both.workspace.store.move(job, Action.FAIL, who="test")

    text = api_on_both.by("alice").get(f"{JOBS}/{job.id}/stream").text

    parts = [dict(line.split(": ", 1) for line in part.splitlines()) for part in text.split("\n\n") if part]
    (progress,) = [json.loads(part["data"]) for part in parts if part.get("event") == "progress"]
    assert progress["result"]["partitions"] == [entry.model_dump(exclude_none=True) for entry in ENTRIES]


def test_the_webhook_sends_the_job_without_its_partitions(api: Served):
    job = cut_job(api)

    sent = message(Delivery(1, job.id, "failed", datetime.now(UTC), 1), job)["data"]["batch_job"]["result"]

    assert sent["count"] == 20
    assert "partitions" not in sent


def test_medusas_answers_have_no_number_of_partitions(serve: Callable[..., Served], no_prefect: None):
    compat = serve(medusa_compat=True)
    made = compat.by("alice").post(JOBS, json={"type": "noting", "context": {}, "partitions": 2}).json()["batch_job"]

    assert "partitions" not in made
    assert compat.workspace.service.get(made["id"]).partitions == 2
