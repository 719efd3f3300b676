"""The routes of the page, as tests go through them: a new one is tried without being named in a test."""

import re
from typing import Any

from fastapi.routing import APIRoute

from batch_jobs.deployments.web.site import ROUTERS
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk.rejects import RejectLog
from batch_jobs.strategies.tables.changes.planned import planning
from support.api_server import Served

#: Whatever a visitor who is not signed in may ask for; everything else has to ask ``visits`` who is there.
PUBLIC = {
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("POST", "/language"),
    ("GET", "/static/logo"),
    ("GET", "/static/{version}/colors.css"),
    ("GET", "/static/{version}/{name:path}"),
}
#: The status a job has to be in for what a path ends with.
FROM = {
    "cancel": Status.PROCESSING,
    "pause": Status.PROCESSING,
    "resume": Status.PAUSED,
    "retry": Status.FAILED,
    "undo": Status.COMPLETED,
}

Route = tuple[str, str]


def routes() -> list[Route]:
    """Each method of each path."""
    return sorted(
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods - {"HEAD"}
    )


def views() -> list[Route]:
    """Those for visitors who are signed in."""
    return [route for route in routes() if route not in PUBLIC]


def unsafe() -> list[Route]:
    """Those that change something."""
    return [(method, path) for method, path in routes() if method != "GET"]


def job_for(served: Served, path: str, owner: str = "alice") -> str:
    """A job of somebody that a path can be asked for."""
    job = served.job(owner, FROM.get(path.rsplit("/", 1)[-1], Status.PRE_PROCESSED), note=f"of {owner}")
    files = served.workspace.files
    with planning(files, job.id) as planned:
        planned.add([])
    with files.writing(f"jobs/{job.id}/out.csv") as stream:
        stream.write(b"a\n1\n")
    if job.status is not Status.COMPLETED:
        rejects = RejectLog(files, job.id)
        with files.writing(rejects._key) as stream:
            stream.write(b"a,reject_line,reject_reason\n")
        job = served.workspace.store.claim(job, ProcessIdentity.current(), None)
        found = {"file_key": f"jobs/{job.id}/out.csv", "rejects_file_key": rejects._key}
        result = job.result.model_copy(update=found)
        served.workspace.store.save_result(job.id, job.claim or 0, result, {"counts": {"create": 1}})
    if path.endswith(("/live", "/stream")):
        served.workspace.service.cancel(job.id, who="test")  # a stream of a job that has ended ends by itself
    return job.id


def filled(path: str, job_id: str = "none", **values: Any) -> str:
    """A path with something for each of its parameters."""
    given = {"job_id": job_id, "move": "cancel", "batch_type": "noting", "version": "1", "name": "page.css", **values}
    return re.sub(r"{(\w+)(?::\w+)?}", lambda found: str(given.get(found[1], "none")), path)
