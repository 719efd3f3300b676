"""Every view for everybody: the page gives nobody what the API does not. A view without a row fails."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from ulid import ULID

from batch_jobs.deployments.api.job_actions import MOVES
from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.transitions import Action, Status
from support.api_server import Served
from support.page_routes import Route, filled, job_for, views
from support.visitors import visiting

JOB = "/admin/batch-jobs/{job_id}"
CREATE = ("POST", "/admin/batch-jobs")
#: Parts of an upload that somebody began: nobody else has them.
OF_AN_UPLOAD = {("PATCH", "/uploads/{upload_id}"), ("POST", "/uploads/{upload_id}/finish")}
#: view -> the route of the API that shows or does the same, and so has the same rights.
SAME_AS: dict[Route, Route] = {
    ("GET", "/"): ("GET", "/admin/batch-jobs"),
    ("GET", "/jobs/{job_id}"): ("GET", JOB),
    ("GET", "/jobs/{job_id}/live"): ("GET", f"{JOB}/stream"),
    ("GET", "/jobs/{job_id}/changes"): ("GET", f"{JOB}/changes"),
    ("GET", "/jobs/{job_id}/changes/file"): ("GET", f"{JOB}/changes/file"),
    ("POST", "/jobs/{job_id}/changes"): ("POST", f"{JOB}/confirm"),
    ("POST", "/jobs/{job_id}/confirm"): ("POST", f"{JOB}/confirm"),
    ("POST", "/jobs/{job_id}/undo"): ("POST", f"{JOB}/undo"),
    ("GET", "/jobs/{job_id}/now"): ("GET", JOB),
    ("GET", "/jobs/{job_id}/partitions"): ("GET", JOB),
    ("GET", "/jobs/{job_id}/undoable"): ("POST", f"{JOB}/undo"),
    ("GET", "/jobs/{job_id}/log"): ("GET", f"{JOB}/output"),
    ("GET", "/jobs/{job_id}/output"): ("GET", f"{JOB}/output"),
    ("GET", "/jobs/{job_id}/rejects.csv"): ("GET", f"{JOB}/rejects"),
    ("GET", "/jobs/{job_id}/rejects"): ("GET", f"{JOB}/rejects"),
    ("POST", "/jobs/{job_id}/rejects"): ("POST", f"{JOB}/confirm"),
    ("GET", "/jobs/{job_id}/cancel"): ("POST", f"{JOB}/cancel"),
    **{("POST", f"/jobs/{{job_id}}/{move}"): ("POST", f"{JOB}/{move}") for move in MOVES},
    ("GET", "/new"): ("POST", "/admin/uploads"),
    **{("GET", f"/new/{{batch_type}}{more}"): CREATE for more in ("", "/template", "/tables", "/file", "/map")},
    **{("POST", f"/new/{{batch_type}}{more}"): CREATE for more in ("", "/map")},
    ("POST", "/uploads"): ("POST", "/admin/uploads"),
    ("POST", "/uploads/file"): ("POST", "/admin/uploads"),
    ("GET", "/history"): ("GET", "/admin/uploads"),
    ("GET", "/schedules"): ("GET", "/admin/batch-jobs/strategies"),
    ("POST", "/sign-out"): ("GET", "/admin/batch-jobs"),
}
#: What only leads back to the job, whose view asks who it is.
BACK = {("GET", f"/jobs/{{job_id}}/{name}") for name in ("confirm", "undo", "pause", "resume", "retry")}
#: Nobody, a viewer, another operator, the owner, an admin, operators of this type, of another, and with few tables.
PEOPLE = (None, "vera", "bob", "alice", "root", "tina", "otto", "tabea")


@dataclass
class Answers:
    """What somebody gets for a job of alice's, from the page and from the API."""

    page: str
    api: str


@pytest.fixture(scope="module")
def everybody(shared: Served) -> Served:
    """The API with keys that are narrowed to another type, and to a table."""
    for name, types, tables in (("otto", ["product-export"], None), ("tabea", None, ["prices"])):
        shared.keys[name] = shared.workspace.api_keys.create(name, Role.OPERATOR, types, tables)[1]
    return shared


def of_page(answer: httpx.Response) -> str:
    """How the page lets somebody know what they may; signing out leads to the form too."""
    if answer.headers.get("location", "").startswith("/sign-in") and "set-cookie" not in answer.headers:
        return "sign in"
    return {401: "sign in", 403: "refused", 404: "unknown"}.get(answer.status_code, "allowed")


def of_api(answer: httpx.Response) -> str:
    return {401: "sign in", 403: "refused", 404: "unknown"}.get(answer.status_code, "allowed")


def asked(served: Served, route: Route, name: str | None) -> Answers:
    method, path = route
    other_method, other_path = SAME_AS[route]
    with httpx.Client(base_url=served.url, timeout=30) as nobody:
        visitor = visiting(served, name) if name else None
        data = {"csrf": visitor.csrf} if visitor else {}
        sent: dict[str, Any] = {"data": data} if method != "GET" else {}
        client = visitor.client if visitor else nobody
        shown = client.request(method, filled(path, job_for(served, path)), **sent)
    body: dict[str, Any] = {"json": {"type": "noting", "context": {}} if SAME_AS[route] == CREATE else {}}
    body = body if other_method == "POST" else {}
    answered = served.by(name).request(other_method, filled(other_path, job_for(served, other_path)), **body)
    return Answers(of_page(shown), of_api(answered))


def test_every_view_has_its_row():
    assert set(SAME_AS) | BACK | OF_AN_UPLOAD == set(views()), "which route of the API is a new view the same as?"


@pytest.mark.parametrize("route", sorted(OF_AN_UPLOAD), ids=" ".join)
def test_an_upload_is_that_of_who_began_it(everybody: Served, route: Route):
    alice, begun = visiting(everybody, "alice"), {"name": "a.csv", "size": 3, "fingerprint": "f"}
    upload_id = alice.client.post("/uploads", json=begun, headers={"x-csrf": alice.csrf}).json()["id"]
    address = filled(route[1], upload_id=upload_id)

    for name in ("vera", "bob", "root", "alice"):
        visitor = visiting(everybody, name)
        headers = {"x-csrf": visitor.csrf, "upload-offset": "0"}
        answer = visitor.client.request(route[0], address, content=b"a,b", headers=headers)
        assert (answer.status_code in (403, 404)) is (name != "alice"), (name, answer.text)
    assert httpx.request(route[0], f"{everybody.url}{address}").headers["location"] == "/sign-in"


@pytest.mark.parametrize("route", sorted(SAME_AS), ids=" ".join)
def test_the_page_gives_nobody_what_the_api_does_not(everybody: Served, route: Route):
    answers = {name: asked(everybody, route, name) for name in PEOPLE}

    # a type that a key is not for is refused by the API, and is none for the page
    assert {name: found.page for name, found in answers.items()} == {
        name: "unknown" if (found.page, found.api) == ("unknown", "refused") else found.api
        for name, found in answers.items()
    }
    assert answers[None].page == "sign in"
    assert answers["alice"].page == "allowed"


def secretive(served: Served) -> Job:
    """A job of alice's with what only she sees, what nobody sees and what only an admin sees."""
    store, once = served.workspace.store, f"alice/IDEMP0TENT{ULID()}"
    context = {"note": "N0TE of alice", "password": "PASSW0RD"}
    job = served.workspace.service.record(
        "noting", context, created_by="alice", trigger=Trigger.API, dry_run=True, idempotency_key=once
    )
    job = store.claim(job, ProcessIdentity.current(), None)
    error = {"message": "broken", "code": "ValueError", "err": "Traceback of /srv/TRACE", "refused": False}
    result = job.result.model_validate({**job.result.model_dump(), "errors": [error]})
    store.save_result(job.id, job.claim or 0, result, {"counts": {"create": 1}, "_own": "0WN"})
    return store.move(store.get(job.id), Action.FAIL, who="alice")


@pytest.mark.parametrize(
    ("name", "sees", "never"),
    [
        ("alice", "broken", ("PASSW0RD", "TRACE", "IDEMP0TENT", "0WN")),
        ("root", "broken", ("PASSW0RD", "IDEMP0TENT", "0WN")),
        ("vera", "broken", ("PASSW0RD", "TRACE", "IDEMP0TENT", "0WN")),
        ("bob", "", ("N0TE", "PASSW0RD", "TRACE", "broken", "JOB")),
        ("otto", "", ("N0TE", "PASSW0RD", "TRACE", "broken", "JOB")),
    ],
)
def test_no_view_fragment_or_stream_shows_what_the_api_does_not(
    everybody: Served, name: str, sees: str, never: tuple[str, ...]
):
    job, visitor = secretive(everybody), visiting(everybody, name)
    seen = ""
    for method, path in views():
        if method == "GET":
            address = filled(path, job.id)
            for headers in ({}, {"hx-request": "true"}):
                seen += visitor.client.get(address, headers=headers).text.replace(address, "")
    seen = seen.replace(f"{job.id} was not found", "")

    assert sees in seen
    assert [word for word in never if word.replace("JOB", job.id) in seen] == []


def test_buttons_are_for_those_who_may(everybody: Served):
    job = everybody.job("alice", Status.PROCESSING)

    assert "cancel" in visiting(everybody, "alice").get(f"/jobs/{job.id}").text
    assert f"/jobs/{job.id}/cancel" not in visiting(everybody, "vera").get(f"/jobs/{job.id}").text
    assert 'href="/new"' not in visiting(everybody, "vera").get("/").text
    assert "<option>noting</option>" in visiting(everybody, "tina").get("/").text
    assert "<option>product-import</option>" not in visiting(everybody, "tina").get("/").text
