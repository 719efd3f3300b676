"""One job: what it is, what it found and does, and how it goes on, live."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from starlette.concurrency import run_in_threadpool

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi
from batch_jobs.deployments.api.file_response import WantedRange
from batch_jobs.deployments.api.job_stream import Subscription
from batch_jobs.deployments.api.routes.files import send_file_of_job
from batch_jobs.deployments.api.routes.stream import LONGEST_SECONDS, QUIET_SECONDS, HeldStream
from batch_jobs.deployments.web.errors import is_fragment
from batch_jobs.deployments.web.guard import CurrentVisitor, visits
from batch_jobs.deployments.web.languages import language_of
from batch_jobs.deployments.web.live_parts import LiveParts, Parts, as_swap
from batch_jobs.deployments.web.rendering import fragment, page
from batch_jobs.flows.errors import PrefectAway
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.prefect import for_people
from batch_jobs.strategies.sdk.partition import PartitionStatus

PARTITIONS_SHOWN = 200
First = Annotated[int, Query(ge=0, le=1 << 31)]

router = APIRouter(prefix="/jobs")


@router.get("/{job_id}", dependencies=[visits(Right.READ)])
def show(request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """Everything about one job."""
    return job_page(request, api.job(job_id, visitor), visitor)


def job_page(request: Request, job: Job, visitor: Caller, message: str = "", status: int = 200) -> HTMLResponse:
    """The view of a job, with a sentence about what was just asked for where there is one."""
    live: LiveParts = request.app.state.live
    values = live.values(live.shown(job, visitor), language_of(request).code)
    return page(request, "job.html", {**values, "message": message}, status)


@router.get("/{job_id}/now", dependencies=[visits(Right.READ)])
async def now(request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor, seen: str = "") -> Response:
    """The changing parts of the view, where they are others than the ones that were seen."""
    job = await run_in_threadpool(api.job, job_id, visitor)
    live: LiveParts = request.app.state.live
    if live.shown(job, visitor).stamp == seen:
        return Response(status_code=204)
    return HTMLResponse(as_swap(await live.of(job, visitor, language_of(request).code)))


@router.get("/{job_id}/live", dependencies=[visits(Right.READ)])
async def live(request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The changing parts of the view, each sent again when it has changed, until it is a person's turn."""
    job = await run_in_threadpool(api.job, job_id, visitor)
    async with AsyncExitStack() as opening:
        subscription = await opening.enter_async_context(api.streams.subscribe(job, visitor.key_id))
        held = opening.pop_all()
    parts = partial(request.app.state.live.of, caller=visitor, code=language_of(request).code)
    return HeldStream(_events(subscription, parts), held)


async def _events(subscription: Subscription, parts_of: Any) -> AsyncIterator[str]:
    until = time.monotonic() + LONGEST_SECONDS
    sent: Parts = {}
    while time.monotonic() < until and not subscription.is_closed:
        job = subscription.job
        parts: Parts = await parts_of(job)
        yield _message({name: text for name, text in parts.items() if sent.get(name) != text})
        sent = parts
        if job.needs_a_person:
            yield "event: end\ndata:\n\n"
            return
        await subscription.wait_for_change(job, QUIET_SECONDS)


def _message(parts: Parts) -> str:
    if not parts:
        return ": still here\n\n"
    return "".join(f"data: {line}\n" for line in as_swap(parts).splitlines()) + "\n"


@router.get("/{job_id}/undoable", dependencies=[visits(Right.CHANGE)])
def undoable(request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """Until when there is something to undo, by the target; asked for beside the view."""
    job = api.job(job_id, visitor)
    return fragment(request, "undoable.html", "said", {"job": job, "said": api.workspace.undoable(job)})


@router.get("/{job_id}/log", dependencies=[visits(Right.FILES)])
async def log(request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The last lines of its run's log, from Prefect, and the way to the run there; asked for beside the view."""
    job = await run_in_threadpool(api.job, job_id, visitor)
    values: dict[str, Any] = {"job": job, "lines": [], "link": None, "away": None, "shows_traces": False}
    values["shows_traces"] = visitor.may(Right.EVERYBODYS)
    if job.flow_run_id is not None:
        try:
            values |= await request.app.state.prefect.ask(job.flow_run_id, partial(_of_run, api, job.flow_run_id))
        except PrefectAway as error:
            values["away"] = str(error)
    if is_fragment(request):
        return fragment(request, "job_log.html", "log", values)
    return page(request, "job_log.html", values)


def _of_run(api: Api, run_id: str) -> Mapping[str, Any]:
    prefect = api.workspace.prefect
    lines = for_people.last_lines(prefect, run_id)
    return {"lines": lines, "link": for_people.page_of(prefect, "flow-run", run_id)}


@router.get("/{job_id}/partitions", dependencies=[visits(Right.READ)])
def partitions(
    request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor, status: str = "", first: First = 0
) -> Response:
    """All partitions of a job, some hundred at a time."""
    job = api.job(job_id, visitor)
    wanted = [entry for entry in job.result.partitions if status in ("", entry.status)]
    values = {
        "job": job,
        "entries": wanted[first : first + PARTITIONS_SHOWN],
        "shows_where": visitor.may(Right.FILES),
        "statuses": list(PartitionStatus),
        "asked": status,
        "next": first + PARTITIONS_SHOWN if len(wanted) > first + PARTITIONS_SHOWN else None,
        "is_running": not job.needs_a_person,
    }
    if is_fragment(request):
        return fragment(request, "partitions.html", "rows", values)
    return page(request, "partitions.html", values)


@router.api_route("/{job_id}/output", methods=["GET", "HEAD"], dependencies=[visits(Right.FILES)])
def output(job_id: str, api: CurrentApi, visitor: CurrentVisitor, wanted: WantedRange) -> Response:
    """The file that it wrote."""
    return send_file_of_job(api, visitor, job_id, "file_key", wanted)


@router.api_route("/{job_id}/rejects.csv", methods=["GET", "HEAD"], dependencies=[visits(Right.FILES)])
def rejects(job_id: str, api: CurrentApi, visitor: CurrentVisitor, wanted: WantedRange) -> Response:
    """The rows that it refused."""
    return send_file_of_job(api, visitor, job_id, "rejects_file_key", wanted)
