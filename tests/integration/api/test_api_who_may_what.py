"""Every route for everybody: the matrix is made from the routes, and one without a row fails."""

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from batch_jobs.deployments.api.app import ROUTERS
from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.strategies.sdk.rejects import RejectLog
from batch_jobs.strategies.tables.changes.planned import planning
from support.api_server import Served
from support.change_log import log_change

#: The callers of each row: nobody, vera (viewer), bob (another operator), alice (the owner), root (admin).
CALLERS = (None, "vera", "bob", "alice", "root")
#: route -> the status that each of them gets for a job or file of alice's.
MATRIX: dict[tuple[str, str], tuple[int, int, int, int, int]] = {
    ("POST", "/admin/batch-jobs"): (401, 403, 201, 201, 201),
    ("GET", "/admin/batch-jobs"): (401, 200, 200, 200, 200),
    ("GET", "/admin/batch-jobs/{job_id}"): (401, 200, 404, 200, 200),
    ("GET", "/admin/batch-jobs/{job_id}/events"): (401, 200, 404, 200, 200),
    ("GET", "/admin/batch-jobs/{job_id}/plan"): (401, 403, 404, 200, 200),
    ("GET", "/admin/batch-jobs/{job_id}/changes"): (401, 403, 404, 200, 200),
    ("GET", "/admin/batch-jobs/{job_id}/changes/file"): (401, 403, 404, 200, 200),
    ("GET", "/admin/history"): (401, 403, 200, 200, 200),
    ("GET", "/admin/batch-jobs/{job_id}/stream"): (401, 200, 404, 200, 200),
    ("GET", "/admin/batch-jobs/{job_id}/stream-url"): (401, 200, 404, 200, 200),
    ("GET", "/streams/{token}"): (200, 200, 200, 200, 200),
    ("GET", "/admin/batch-jobs/{job_id}/output"): (401, 403, 404, 200, 200),
    ("GET", "/admin/batch-jobs/{job_id}/rejects"): (401, 403, 404, 200, 200),
    ("POST", "/admin/batch-jobs/{job_id}/confirm"): (401, 403, 404, 200, 200),
    ("POST", "/admin/batch-jobs/{job_id}/cancel"): (401, 403, 404, 200, 200),
    ("POST", "/admin/batch-jobs/{job_id}/pause"): (401, 403, 404, 200, 200),
    ("POST", "/admin/batch-jobs/{job_id}/resume"): (401, 403, 404, 200, 200),
    ("POST", "/admin/batch-jobs/{job_id}/retry"): (401, 403, 404, 200, 200),
    ("POST", "/admin/batch-jobs/{job_id}/undo"): (401, 403, 404, 201, 201),
    # they may, but a job of this type reads no file whose rows could be corrected
    ("POST", "/admin/batch-jobs/{job_id}/correct"): (401, 403, 404, 422, 422),
    ("GET", "/admin/batch-jobs/strategies"): (401, 200, 200, 200, 200),
    ("GET", "/admin/batch-jobs/strategies/{batch_type}/template"): (401, 200, 200, 200, 200),
    ("POST", "/admin/uploads"): (401, 403, 200, 200, 200),
    ("POST", "/admin/uploads/protected"): (401, 403, 200, 200, 200),
    ("POST", "/admin/uploads/download-url"): (401, 403, 404, 200, 200),
    ("GET", "/admin/uploads"): (401, 403, 200, 200, 200),
    ("DELETE", "/admin/uploads"): (401, 403, 404, 200, 200),
    ("GET", "/files/{token}/{name}"): (200, 200, 200, 200, 200),
    ("GET", "/healthz"): (200, 200, 200, 200, 200),
    ("GET", "/readyz"): (200, 200, 200, 200, 200),
    ("GET", "/metrics"): (401, 200, 403, 403, 200),
}
#: What may be asked for without its content: whatever may be asked for.
MATRIX |= {("HEAD", path): statuses for (method, path), statuses in MATRIX.items() if method == "GET"}
#: The status a job has to be in for an action.
FROM = {
    "confirm": Status.PRE_PROCESSED,
    "cancel": Status.PROCESSING,
    "pause": Status.PROCESSING,
    "resume": Status.PAUSED,
    "retry": Status.FAILED,
    "undo": Status.COMPLETED,
}
ROWS = [
    pytest.param(route, caller, status, id=f"{route[0]} {route[1]} by {caller or 'nobody'}")
    for route, statuses in MATRIX.items()
    for caller, status in zip(CALLERS, statuses, strict=True)
]


def job_with_files(served: Served, status: Status) -> str:
    """A job of alice's that has written a file and refused a row."""
    job = served.job("alice", status)
    files = served.workspace.files
    rejects = RejectLog(files, job.id)
    with files.writing(f"jobs/{job.id}/out.csv") as stream:
        stream.write(b"a\n1\n")
    with files.writing(rejects._key) as stream:
        stream.write(b"a,reject_line\n")
    job = (
        served.workspace.store.claim(job, ProcessIdentity.current(), None)
        if job.status is not Status.COMPLETED
        else job
    )
    result = job.result.model_copy(update={"file_key": f"jobs/{job.id}/out.csv", "rejects_file_key": rejects._key})
    if job.claim:
        served.workspace.store.save_result(job.id, job.claim, result, {"counts": {"create": 1}, "_own": "kept"})
    return job.id


def request_for(served: Served, method: str, path: str) -> dict[str, Any]:
    """A request of this route that can succeed."""
    action = path.rsplit("/", 1)[-1]
    asked: dict[str, Any] = {"method": method, "url": path.replace("{batch_type}", "noting")}
    if "{job_id}" in path:
        job_id = job_with_files(served, FROM.get(action, Status.PRE_PROCESSED))
        if action == "stream":
            served.workspace.service.cancel(job_id, who="test")  # a stream of an ended job ends by itself
        asked["url"] = path.replace("{job_id}", job_id)
    if "/changes" in path:
        with planning(served.workspace.files, job_id) as planned:
            planned.add([])
    if action == "correct":
        asked["json"] = {"rows": [{"line": 2, "cells": {"a": "2"}}]}
    if path == "/admin/history":
        log_change(served.workspace.target, served.job("alice", Status.COMPLETED).id)
        asked["params"] = {"table": "products", "key": "A"}
    if path == "/streams/{token}":
        job_id = job_with_files(served, Status.COMPLETED)
        asked["url"] = served.by("alice").get(f"/admin/batch-jobs/{job_id}/stream-url").json()["stream_url"]
    if path == "/admin/batch-jobs" and method == "POST":
        asked["json"] = {"type": "noting", "context": {}}
    if method == "POST" and path in ("/admin/uploads", "/admin/uploads/protected"):
        asked["files"] = [("files", ("a.csv", b"a\n"))]
    if path in ("/admin/uploads/download-url", "/files/{token}/{name}") or method == "DELETE":
        sent = served.by("alice").post("/admin/uploads", files=[("files", ("a.csv", b"a\n"))]).json()["uploads"][0]
        asked["json"] = {"file_key": sent["key"]}
        if path.startswith("/files"):
            asked = {"method": method, "url": sent["url"]}
    return asked


def test_every_route_has_its_row(shared: Served):
    document = httpx.get(f"{shared.url}/openapi.json").json()
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    routes = {(method, route.path) for router in ROUTERS for route in router.routes for method in route.methods}

    assert routes == set(MATRIX)
    assert described == {(method, path) for method, path in routes if method != "HEAD"}


@pytest.mark.parametrize(("route", "caller", "status"), ROWS)
def test_who_may_what(shared: Served, route: tuple[str, str], caller: str | None, status: int):
    asked = request_for(shared, *route)

    answer = shared.by(caller).request(**asked)

    assert answer.status_code == status, answer.text
    if route[0] == "HEAD":
        assert answer.content == b""
    elif status >= 400:
        assert set(answer.json()) <= {"type", "message", "code"}


@pytest.mark.parametrize("suffix", ["", "/events", "/plan", "/stream", "/output", "/rejects"])
def test_s46_a_foreign_job_sounds_like_none(shared: Served, suffix: str):
    foreign = job_with_files(shared, Status.PRE_PROCESSED)
    none = foreign[:-4] + "0000"
    bob = shared.by("bob")

    answers = [bob.get(f"/admin/batch-jobs/{job_id}{suffix}") for job_id in (foreign, none)]

    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].text.replace(foreign, none) == answers[1].text


@pytest.mark.parametrize("action", FROM)
def test_s46_a_foreign_job_is_not_moved(shared: Served, action: str):
    foreign = shared.job("alice", FROM[action])

    answer = shared.by("bob").post(f"/admin/batch-jobs/{foreign.id}/{action}", json={})

    assert answer.status_code == 404
    assert shared.workspace.service.get(foreign.id) == foreign


def test_s46_lists_and_counts_hold_one_s_own_only(shared: Served):
    shared.job("alice")
    mine = shared.job("bob", note="of bob")
    bob = shared.by("bob")

    for query in ("", "?created_by=alice", f"?id[]={shared.job('alice').id}", "?order=id", "?trigger=api"):
        listed = bob.get(f"/admin/batch-jobs{query}").json()
        assert {job["created_by"] for job in listed["batch_jobs"]} <= {"bob"}
        assert listed["count"] == shared.workspace.service.count(_of_bob(query))
    assert mine.id in bob.get("/admin/batch-jobs?limit=100").text
    assert shared.by("vera").get("/admin/batch-jobs?created_by=alice").json()["count"] > 0


def _of_bob(query: str) -> JobFilter:
    return JobFilter(created_by="bob") if "alice" not in query and "id[]" not in query else JobFilter(ids=[])


def test_s46_a_foreign_job_takes_the_same_statements_as_none(shared: Served):
    """What is asked of the database is the same, so that time tells nothing."""
    foreign, bob = shared.job("alice").id, shared.by("bob")
    statements: list[str] = []
    note = lambda *given: statements.append(given[2])  # noqa: E731
    event.listen(shared.workspace.jobs, "before_cursor_execute", note)
    taken = []
    for job_id in (foreign, foreign[:-4] + "0000"):
        statements.clear()
        bob.get(f"/admin/batch-jobs/{job_id}")
        taken.append(list(statements))
    event.remove(shared.workspace.jobs, "before_cursor_execute", note)

    assert taken[0] == taken[1] != []


def test_a_key_for_one_type_sees_and_makes_no_other(shared: Served):
    tina = shared.by("tina")
    shared.workspace.service.record("product-export", {}, created_by="tina")
    own = tina.post("/admin/batch-jobs", json={"type": "noting", "context": {}}).json()["batch_job"]["id"]

    assert tina.post("/admin/batch-jobs", json={"type": "product-export", "context": {}}).status_code == 403
    assert [job["id"] for job in tina.get("/admin/batch-jobs").json()["batch_jobs"]] == [own]
    assert tina.get("/admin/batch-jobs?type[]=product-export").json()["count"] == 0
    assert [entry["type"] for entry in tina.get("/admin/batch-jobs/strategies").json()["strategies"]] == ["noting"]
    assert tina.get("/admin/batch-jobs/strategies/table-import/template").status_code == 404


@pytest.mark.parametrize(
    "key", ["own", "foreign upload", "foreign output", "foreign, disguised", "nested", "elsewhere"]
)
def test_no_job_reads_a_file_that_its_creator_may_not(shared: Served, key: str):
    bob, alice = shared.by("bob"), shared.by("alice")
    own = bob.post("/admin/uploads", files=[("files", ("a.csv", b"a\n"))]).json()["uploads"][0]["key"]
    foreign = alice.post("/admin/uploads", files=[("files", ("a.csv", b"a\n"))]).json()["uploads"][0]["key"]
    output = f"jobs/{job_with_files(shared, Status.PRE_PROCESSED)}/out.csv"
    contexts: dict[str, dict[str, Any]] = {
        "own": {"file_key": own},
        "foreign upload": {"file_key": foreign},
        "foreign output": {"file_key": output},
        "foreign, disguised": {"file_key": f".//{foreign.replace('/', '/./', 1)}"},
        "nested": {"note": foreign},
        "elsewhere": {"file_key": "shared/prices.csv"},
    }

    answer = bob.post("/admin/batch-jobs", json={"type": "noting", "context": contexts[key]})

    assert answer.status_code == (201 if key == "own" else 404), answer.text


def test_an_upload_called_like_an_unfinished_file_is_its_uploader_s_only(shared: Served):
    bob, alice = shared.by("bob"), shared.by("alice")
    sent = alice.post("/admin/uploads", files=[("files", ("secret.part", b"a\n1\n"))]).json()["uploads"][0]
    named = {"file_key": sent["key"]}
    imported = {"type": "table-import", "context": {**named, "table": "secrets", "format": "csv"}}

    assert bob.post("/admin/batch-jobs", json=imported).status_code == 404
    made = alice.post("/admin/batch-jobs", json=imported)
    assert made.status_code == 201
    assert sent["key"] in [file.key for file in shared.workspace.files.list("uploads")]
    assert alice.post("/admin/uploads/download-url", json=named).status_code == 200
    alice.post(f"/admin/batch-jobs/{made.json()['batch_job']['id']}/cancel")
    assert alice.request("DELETE", "/admin/uploads", json=named).status_code == 200


@pytest.mark.parametrize("key", ["uploads/x/secret.part", "uploads/../jobs/x", "/etc/passwd", "file:///etc/passwd", ""])
def test_a_context_whose_file_key_is_none_makes_no_job(shared: Served, key: str):
    answer = shared.by("bob").post("/admin/batch-jobs", json={"type": "noting", "context": {"file_key": key}})

    assert answer.status_code == 400, answer.text
    assert "is not a file key" in answer.json()["message"]


def test_a_revoked_key_is_refused_at_once_and_its_links_with_it(shared: Served):
    key, token = shared.workspace.api_keys.create("gone", Role.OPERATOR)
    gone = httpx.Client(base_url=shared.url, headers={"Authorization": f"Bearer {token}"})
    url = gone.post("/admin/uploads", files=[("files", ("a.csv", b"a\n"))]).json()["uploads"][0]["url"]
    assert (gone.get("/admin/batch-jobs").status_code, gone.get(url).status_code) == (200, 200)

    shared.workspace.api_keys.revoke(key.id)

    assert (gone.get("/admin/batch-jobs").status_code, gone.get(url).status_code) == (401, 403)


def test_traces_of_errors_are_for_administrators(shared: Served):
    job = shared.job("alice", Status.PROCESSING)
    job = shared.workspace.store.claim(job, ProcessIdentity.current(), None)
    error = {"message": "broken", "code": "ValueError", "err": "Traceback of /srv/app", "refused": False}
    result = job.result.model_validate({**job.result.model_dump(), "errors": [error]})
    shared.workspace.store.save_result(job.id, job.claim or 0, result, {})
    shared.workspace.store.move(job, Action.FAIL, who="test")

    seen = {
        name: shared.by(name).get(f"/admin/batch-jobs/{job.id}").json()["batch_job"]["result"]["errors"]
        for name in ("alice", "vera", "root")
    }

    assert seen["alice"] == seen["vera"] == [{**error, "err": None}]
    assert seen["root"] == [error]
    assert "Traceback" not in json.dumps([seen["alice"], seen["vera"]])
