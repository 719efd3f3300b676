"""Every status that the API may answer with is in the OpenAPI document, for every route that may."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from batch_jobs.deployments.api.errors import STATUSES
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.settings import Settings
from support.api_server import STRATEGIES, Served, served_with
from support.small_disk import fill, small_disk

#: Of an error that any route may meet, whatever it does: the request's framing, the rate, the job database.
ANYWHERE = {400, 429, 500, 503, 507}
WITH_BODIES = {
    ("post", "/admin/batch-jobs"),
    ("post", "/admin/batch-jobs/{job_id}/confirm"),
    ("post", "/admin/batch-jobs/{job_id}/correct"),
    ("post", "/admin/batch-jobs/{job_id}/undo"),
    ("post", "/admin/uploads"),
    ("post", "/admin/uploads/protected"),
    ("post", "/admin/uploads/download-url"),
    ("delete", "/admin/uploads"),
}
CORRECTION = {"rows": [{"line": 2, "cells": {"price": "1"}}]}
PROBES = ("/healthz", "/readyz")


@pytest.fixture
def document(shared: Served) -> dict[str, Any]:
    return httpx.get(f"{shared.url}/openapi.json", verify=False).json()


def documented(document: dict[str, Any]) -> dict[tuple[str, str], set[int]]:
    """The statuses of each route."""
    return {
        (method, path): set(map(int, operation["responses"]))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_document_has_the_status_of_every_error_and_no_other(document: dict[str, Any]):
    raised = {error.status for error in STATUSES.values()} | {
        error.compat for error in STATUSES.values() if error.compat
    }
    of_errors = {status for statuses in documented(document).values() for status in statuses if status >= 400}

    assert of_errors == raised | {416}


def test_each_route_has_the_errors_that_any_may_meet_and_those_of_a_body(document: dict[str, Any]):
    for (method, path), statuses in documented(document).items():
        if path not in PROBES:
            assert statuses >= ANYWHERE, (method, path)
            assert (statuses >= {408, 413, 415}) == ((method, path) in WITH_BODIES), (method, path)


def test_a_full_disk_is_answered_as_the_document_says_by_every_route(document: dict[str, Any], tmp_path: Path):
    with small_disk(tmp_path / "disk") as disk:
        settings = Settings(
            home=tmp_path / "home",
            database_url=f"sqlite:///{disk / 'jobs.db'}",
            files_url=(disk / "files").as_uri(),
            strategies=str(STRATEGIES),
            api_port=0,
        )
        with served_with(settings) as served:
            answered = answers_of_all_routes(served, disk, document)

    undocumented = {route: status for route, status in answered.items() if status not in documented(document)[route]}
    assert undocumented == {}
    for route in (("post", "/admin/batch-jobs"), ("post", "/admin/uploads"), ("post", "/admin/uploads/protected")):
        assert answered[route] == 507


def answers_of_all_routes(served: Served, disk: Path, document: dict[str, Any]) -> dict[tuple[str, str], int]:
    """What each route answers once the disk of its databases and files is full."""
    root = served.by("root")
    job = served.job("root", Status.PRE_PROCESSED)
    files = {"files": ("a.csv", b"a" * 1_000)}
    key = root.post("/admin/uploads", files=files).json()["uploads"][0]["key"]
    fill(disk)
    body = {"type": "noting", "context": {"note": "x" * 9_000}, "dry_run": True}
    for _ in range(40):  # until what the database had set aside is used up
        if root.post("/admin/batch-jobs", json=body).status_code == 507:
            break
    answered = {}
    for method, path in documented(document):
        here = path.format_map({"job_id": job.id, "batch_type": "noting", "token": "none", "name": "a.csv"})
        if path in ("/admin/uploads", "/admin/uploads/protected") and method == "post":
            given: dict[str, Any] = {"files": files}
        else:
            given = {} if method == "get" else {"json": body if path == "/admin/batch-jobs" else {"file_key": key}}
        with root.stream(method.upper(), here, **given) as answer:
            answered[method, path] = answer.status_code
    return answered


def test_a_row_that_no_job_has_is_answered_as_the_document_says(
    serve: Callable[..., Served], no_prefect: None, document: dict[str, Any]
):
    api = serve()
    job, root = api.job("root", Status.PRE_PROCESSED), api.by("root")
    with api.workspace.files.writing(f"jobs/{job.id}/out.csv") as stream:
        stream.write(b"a\n1\n")
    link = root.get(f"/admin/batch-jobs/{job.id}/stream-url").json()["stream_url"].rpartition("/")[2]
    with api.workspace.jobs.begin() as connection:
        connection.execute(text("UPDATE batch_job SET context = '[1]'"))

    of_a_job = [route for route in documented(document) if "{job_id}" in route[1] or route[1] == "/streams/{token}"]
    for method, path in of_a_job:
        body = {"json": CORRECTION} if path.endswith("/correct") else {}
        answer = root.request(method, path.format_map({"job_id": job.id, "token": link}), **body)
        assert answer.status_code == 409, (method, path, answer.text)
        assert answer.status_code in documented(document)[method, path]
