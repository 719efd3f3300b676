"""The body of ``confirm``: what is left out, and what is refused of it."""

from io import BytesIO
from typing import Any

import pytest

from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from support.api_server import Served


def previewed(api: Served, owner: str = "alice") -> Job:
    """A waiting import of two new rows."""
    workspace = api.workspace
    key = workspace.files.put(BytesIO(b"code,price\nA,1\nB,2\n"), "goods.csv")
    context = {"file_key": key, "table": "goods", "key": ["code"], "mode": "upsert"}
    options: Any = {"dry_run": True, "created_by": owner, "trigger": Trigger.API}
    job = workspace.service.record("table-import", context, **options)
    strategy = workspace.strategies.get("table-import")
    identity = JobIdentity(job.id, job.type, strategy.Context.model_validate(job.context))
    checkpoints = CheckpointStore(workspace.target, job.id, 1)
    run = JobRun(identity, JobParts(workspace.target, workspace.files, checkpoints))
    hooks.pre_process(strategy, run)
    return workspace.store.move(job, Action.PRE_PROCESS, who="test", plan=run.plan)


def test_parts_are_left_out_by_the_body_and_are_in_the_plan(api_on_both: Served):
    job = previewed(api_on_both)
    wish = {"keys": ["A"], "rules": [{"column": "price", "change_percent_above": 12.5}]}

    answer = api_on_both.by("alice").post(f"/admin/batch-jobs/{job.id}/confirm", json={"leave_out": wish})

    assert (answer.status_code, answer.json()["batch_job"]["status"]) == (200, "confirmed")
    plan = api_on_both.by("alice").get(f"/admin/batch-jobs/{job.id}/plan").json()["plan"]
    assert plan["leave_out"] == {"keys": ["A"], "rules": [{"column": "price", "change_percent_above": "12.5"}]}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"leave_out": {"columns": ["prize"]}}, 422, "leave_out names prize, which is not written"),
        ({"leave_out": {"keys": ["Z\u0000"]}}, 422, "no change of this job is there"),
        ({"leave_out": {"lines": ["2"]}}, 400, "leave_out.lines.0"),
        ({"leave_out": {"lines": [True]}}, 400, "leave_out.lines.0"),
        ({"leave_out": {"kinds": ["all"]}}, 400, "leave_out.kinds.0"),
        ({"leave_out": {"column": ["price"]}}, 400, "property leave_out.column should not exist"),
        ({"leave_out": ["price"]}, 400, "leave_out must be an object"),
        ({"leaveout": {"columns": ["price"]}}, 400, "property leaveout should not exist"),
        (["price"], 400, "the body must be an object"),
    ],
)
def test_a_body_that_cannot_be_meant_leaves_the_job_waiting(api: Served, body: Any, status: int, message: str):
    job = previewed(api)

    answer = api.by("alice").post(f"/admin/batch-jobs/{job.id}/confirm", json=body)

    assert (answer.status_code, message in answer.json()["message"]) == (status, True), answer.text
    assert api.workspace.service.get(job.id).status is Status.PRE_PROCESSED


@pytest.mark.parametrize("body", [b"", b"{}", b'{"leave_out": null}', b'{"leave_out": {}}'])
def test_without_anything_left_out_all_is_confirmed(api: Served, body: bytes):
    job = previewed(api)
    headers = {"Content-Type": "application/json"}

    assert api.by("alice").post(f"/admin/batch-jobs/{job.id}/confirm", content=body, headers=headers).status_code == 200
    assert "leave_out" not in (api.workspace.service.get(job.id).plan or {})


def test_a_type_that_offers_nothing_says_so(shared: Served):
    job = shared.job("alice", Status.PRE_PROCESSED)

    answer = shared.by("alice").post(f"/admin/batch-jobs/{job.id}/confirm", json={"leave_out": {"lines": [1]}})

    assert answer.status_code == 422
    assert answer.json()["message"].startswith("noting does not offer to leave parts out")
