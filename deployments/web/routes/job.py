"""One job: what it found and does, what may be done to it, and how it goes on, live."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import CurrentApi
from batch_jobs.deployments.api.job_actions import MOVES, JobActions
from batch_jobs.deployments.api.job_stream import Subscription
from batch_jobs.deployments.api.routes.stream import LONGEST_SECONDS, QUIET_SECONDS, HeldStream
from batch_jobs.deployments.api.schemas import Confirm, UndoJob
from batch_jobs.deployments.web.guard import CurrentVisitor, visits
from batch_jobs.deployments.web.rendering import fragment_text, page
from batch_jobs.deployments.web.shown_job import ShownJob
from batch_jobs.flows.jobs.model import Job

router = APIRouter(prefix="/jobs")


@router.get("/{job_id}", dependencies=[visits(Right.READ)])
def show(request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """Everything about one job."""
    job = api.job(job_id, visitor)
    return page(request, "job.html", {"shown": ShownJob(job, visitor), "events": api.service.events(job.id)})


@router.get("/{job_id}/live", dependencies=[visits(Right.READ)])
async def live(request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The changing part of the view, sent again with each change until nothing happens without a person."""
    job = await run_in_threadpool(api.job, job_id, visitor)
    async with AsyncExitStack() as opening:
        subscription = await opening.enter_async_context(api.streams.subscribe(job, visitor.key_id))
        held = opening.pop_all()
    return HeldStream(_parts(request, subscription, visitor), held)


@router.post("/{job_id}/confirm", dependencies=[visits(Right.CHANGE)])
def confirm(job_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """Say yes to all that the preview found."""
    JobActions(api, visitor).confirm(job_id, Confirm.model_validate({}))
    return _to(job_id)


@router.post("/{job_id}/undo", dependencies=[visits(Right.CHANGE)])
def undo(job_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """Make a job that takes back what this one changed; it shows what it will do, and waits."""
    return _to(JobActions(api, visitor).undo(job_id, UndoJob.model_validate({})).id)


@router.post("/{job_id}/{move}", dependencies=[visits(Right.CHANGE)])
def move(job_id: str, move: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """Cancel, pause, resume or retry it."""
    if move not in MOVES:
        raise HTTPException(404)
    JobActions(api, visitor).move(job_id, move)
    return _to(job_id)


async def _parts(request: Request, subscription: Subscription, visitor: Caller) -> AsyncIterator[str]:
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until and not subscription.is_closed:
        job = subscription.job
        yield _message(await asyncio.to_thread(_live_part, request, job, visitor))
        if job.needs_a_person:
            yield "event: end\ndata:\n\n"
            return
        await subscription.wait_for_change(job, QUIET_SECONDS)


def _live_part(request: Request, job: Job, visitor: Caller) -> str:
    events = request.app.state.api.service.events(job.id)
    return fragment_text(request, "job.html", "live", {"shown": ShownJob(job, visitor), "events": events})


def _message(text: str) -> str:
    return "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"


def _to(job_id: str) -> Response:
    return RedirectResponse(f"/jobs/{job_id}", 303)
