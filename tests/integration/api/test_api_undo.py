"""Undoing by the API: who may, what of, and what comes of it."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from support.api_server import Served
from support.jobs import way_to

ROWS = b"code,name\nA,Apple\nB,Bread\n"


def imported(
    api: Served,
    owner: str = "alice",
    status: Status = Status.COMPLETED,
    content: bytes = ROWS,
    mode: str = "insert",
) -> Job:
    """An import that is done, by default of two new rows."""
    key = api.workspace.files.put(BytesIO(content), "goods.csv")
    context = {"file_key": key, "table": "goods", "mode": mode, "key": ["code"]}
    job = api.workspace.service.record("table-import", context, created_by=owner, trigger=Trigger.API, dry_run=True)
    run(api, job)
    return ended(api, job, status)


def run(api: Served, job: Job) -> None:
    """Do what a run of the job does in the target."""
    strategy, job_run = run_look(api, job)
    hooks.process(strategy, job_run)


def run_look(api: Served, job: Job) -> tuple[BatchJobStrategy, JobRun]:
    """Do what a run of the job does before its confirmation."""
    strategy: BatchJobStrategy = api.workspace.strategies.get(job.type)
    target = api.workspace.target
    parts = JobParts(
        target, api.workspace.files, CheckpointStore(target, job.id, 1), access=api.workspace.access.of(job)
    )
    job_run = JobRun(JobIdentity(job.id, job.type, strategy.Context.model_validate(job.context)), parts)
    hooks.pre_process(strategy, job_run)
    return strategy, job_run


def ended(api: Served, job: Job, status: Status = Status.COMPLETED) -> Job:
    for action in way_to(status):
        job = api.workspace.store.move(job, action, who="test")
    return job


def rows(api: Served) -> int:
    with api.workspace.target.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM goods")) or 0)


def undo(client: httpx.Client, job: Job, **body: Any) -> httpx.Response:
    return client.post(f"/admin/batch-jobs/{job.id}/undo", **({"json": body} if body else {}))


def test_an_undo_is_a_job_that_shows_what_it_will_do_and_waits(api_on_both: Served):
    api, job = api_on_both, imported(api_on_both)

    answer = undo(api.by("alice"), job)

    assert answer.status_code == 201
    made = answer.json()["batch_job"]
    assert (made["type"], made["dry_run"]) == ("undo", True)
    assert made["context"] == {"job": job.id, "force": False, "max_rejects": None, "keep_changes": None}
    assert undo(api.by("alice"), job, force=True).status_code == 409, "one is active"
    api.by("alice").post(f"/admin/batch-jobs/{made['id']}/cancel")
    forced = undo(api.by("alice"), job, force=True, dry_run=False).json()["batch_job"]
    assert (forced["dry_run"], forced["context"]["force"]) == (False, True)

    run(api, api.workspace.service.get(forced["id"]))
    ended(api, api.workspace.service.get(forced["id"]))

    assert rows(api) == 0
    again = undo(api.by("alice"), job)
    assert again.status_code == 409
    assert "was undone already" in again.json()["message"]


@pytest.mark.parametrize("status", [Status.CREATED, Status.PROCESSING, Status.PAUSED])
def test_a_job_that_may_write_yet_is_not_undone(api: Served, status: Status):
    job = imported(api, status=status)
    answer = undo(api.by("alice"), job)
    assert answer.status_code == 409
    assert "only a job that has ended can be undone" in answer.json()["message"]
    body = {"type": "undo", "context": {"job": job.id}}
    assert api.by("alice").post("/admin/batch-jobs", json=body).status_code == 409


def test_a_failed_job_that_was_undone_does_not_go_on(api: Served):
    job = imported(api, status=Status.FAILED)
    made = undo(api.by("alice"), job, dry_run=False).json()["batch_job"]
    ended(api, api.workspace.service.get(made["id"]))
    answer = api.by("alice").post(f"/admin/batch-jobs/{job.id}/retry")
    assert answer.status_code == 409
    assert "so that it cannot go on; create a new job" in answer.json()["message"]


def test_only_who_could_have_done_it_may_undo_it(api: Served):
    job = imported(api)
    by_create = {"type": "undo", "context": {"job": job.id}}
    api.keys["undoer"] = api.workspace.api_keys.create("undoer", Role.ADMIN, ["undo"])[1]
    api.keys["importer"] = api.workspace.api_keys.create("importer", Role.ADMIN, ["table-import"])[1]
    for name, status in {"bob": 404, "tina": 404, "undoer": 404, "vera": 403}.items():
        assert undo(api.by(name), job).status_code == status, name
        created = api.by(name).post("/admin/batch-jobs", json=by_create).status_code
        assert created == (403 if name in ("vera", "tina") else 404), name

    made = undo(api.by("importer"), job).json()["batch_job"]
    assert api.by("importer").get(f"/admin/batch-jobs/{made['id']}").status_code == 200
    assert api.by("tina").get(f"/admin/batch-jobs/{made['id']}").status_code == 404
    assert api.by("importer").post(f"/admin/batch-jobs/{made['id']}/cancel").status_code == 200


def test_tables_that_the_key_is_not_for_stay_as_they_are(api: Served):
    job = imported(api)
    api.keys["narrow"] = api.workspace.api_keys.create("narrow", Role.ADMIN, None, ["other"])[1]
    made = undo(api.by("narrow"), job, dry_run=False).json()["batch_job"]
    with pytest.raises(JobRefused, match="is for the tables other, and not the table goods"):
        run(api, api.workspace.service.get(made["id"]))
    assert rows(api) == 2


def test_a_plan_names_who_changed_rows_since_to_those_who_see_that_job(api_on_both: Served):
    api, job = api_on_both, imported(api_on_both)
    later = imported(api, owner="bob", content=b"code,name\nA,Apricot\n", mode="update")
    made = undo(api.by("alice"), job).json()["batch_job"]
    row = api.workspace.service.get(made["id"])
    api.workspace.store.note(row, "noted", who="test", plan=run_look(api, row)[1].plan)

    def kept(name: str) -> dict[str, Any]:
        (found,) = api.by(name).get(f"/admin/batch-jobs/{made['id']}/plan").json()["plan"]["rejects"]
        return dict(found)

    assert (kept("alice")["by"], "created_by" in kept("alice")) == (later.id, False)
    assert kept("root")["created_by"] == "bob"
    assert kept("root")["at"] == kept("alice")["at"]
    assert "bob" not in str(api.workspace.service.get(made["id"]).plan)


def test_the_document_has_the_route(serve: Callable[..., Served], no_prefect: None):
    paths = serve().by("alice").get("/openapi.json").json()["paths"]
    assert "post" in paths["/admin/batch-jobs/{job_id}/undo"]
