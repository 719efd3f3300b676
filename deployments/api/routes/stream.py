"""A job as server-sent events: each step of its history and its progress, until it ends or waits for a person."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi, CurrentCaller, requires
from batch_jobs.deployments.api.job_stream import Subscription
from batch_jobs.deployments.api.links import STREAM, base_url, make_token, read_token
from batch_jobs.deployments.api.openapi import EVENT_STREAM, STREAM_URL, refusals
from batch_jobs.deployments.api.schemas import event_json, job_json
from batch_jobs.deployments.log import add_facts
from batch_jobs.flows.jobs.model import Job, JobEvent

QUIET_SECONDS = 15.0  # then a comment is sent, so that nobody in between takes the connection for dead
LONGEST_SECONDS = 900.0  # then the stream ends and is to be resumed, which looks at the key again
RETRY_MS = 1000  # how soon a browser comes back

router = APIRouter(tags=["batch jobs"])

#: Ids are ``<last step>`` for a step, ``<last step>.<version of the progress>`` for progress, and for the last one
#: ``<last step>.end`` or ``<last step>.waiting``.
EVENT_ID = re.compile(r"([0-9]{1,18})(?:\.(?:([0-9]{1,20})|(end|waiting)))?")
LastEventId = Annotated[str | None, Header(description="Of the last event that was seen; what follows is sent.")]
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: EVENT_STREAM,
    204: {"description": "There was nothing more to wait for when it was sent to its end before"},
}


@router.get(
    "/admin/batch-jobs/{job_id}/stream",
    dependencies=[requires(Right.READ)],
    summary="Follow a job by server-sent events",
    response_class=StreamingResponse,
    responses={**ANSWERS, **refusals(401, 403, 404, 409)},
)
async def follow(job_id: str, api: CurrentApi, caller: CurrentCaller, last_event_id: LastEventId = None) -> Response:
    """Events `status` (a step of the history) and `progress` (the job), until an `end`, or a `waiting` for a yes."""
    return await _follow(api, caller, job_id, _Seen(last_event_id))


@router.get(
    "/admin/batch-jobs/{job_id}/stream-url",
    dependencies=[requires(Right.READ)],
    summary="Get a link to follow a job",
    response_class=JSONResponse,
    responses={200: STREAM_URL, **refusals(401, 403, 404, 409)},
)
def stream_url(job_id: str, request: Request, api: CurrentApi, caller: CurrentCaller) -> Response:
    """A link for a browser's `EventSource`, which cannot show a key; it works for a while, and dies with the key."""
    job = api.job(job_id, caller)
    add_facts(action="link")
    return JSONResponse({"stream_url": f"{base_url(request, api)}/streams/{make_token(api, STREAM, job.id, caller)}"})


@router.get(
    "/streams/{token}",
    summary="Follow a job by its link",
    response_class=StreamingResponse,
    responses={**ANSWERS, **refusals(403, 404, 409)},
)
async def follow_link(token: str, api: CurrentApi, last_event_id: LastEventId = None) -> Response:
    """The stream of the link's job, as its maker may read it now."""
    job_id, maker = await asyncio.to_thread(read_token, api, STREAM, token)
    return await _follow(api, maker, job_id, _Seen(last_event_id))


async def _follow(api: Api, caller: Caller, job_id: str, seen: "_Seen") -> Response:
    caller.require(Right.READ)
    job = await asyncio.to_thread(api.job, job_id, caller)
    if (
        (job.has_ended or job.awaits_confirmation)
        and seen.end
        and not await asyncio.to_thread(api.service.events, job.id, seen.step)
    ):
        return Response(status_code=204)  # a browser comes back for ever after anything else
    async with AsyncExitStack() as opening:
        subscription = await opening.enter_async_context(api.streams.subscribe(job, caller.key_id))
        held = opening.pop_all()
    return HeldStream(_events(api, subscription, seen, lambda job: job_json(job, caller)), held)


class HeldStream(StreamingResponse):
    """A stream that lets go of its job however it ends, also when it never began."""

    def __init__(self, content: AsyncIterator[str], held: AsyncExitStack) -> None:
        super().__init__(content, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self._held = held

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        async with self._held:
            if scope["method"] == "HEAD":
                await Response(None, self.status_code, self.headers)(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)


class _Seen:
    """How far a client has seen a job."""

    def __init__(self, event_id: str | None) -> None:
        matched = EVENT_ID.fullmatch(event_id or "")
        self.step = int(matched[1]) if matched else 0
        self.progress = int(matched[2] or 0) if matched else 0
        self.end = bool(matched and matched[3])

    def steps(self, events: Sequence[JobEvent]) -> list[str]:
        """The events of new steps."""
        sent = []
        for event in events:
            self.step = event.id
            sent.append(_event("status", str(event.id), event_json(event)))
        return sent

    def progressed(self, job: Job, show: Callable[[Job], dict[str, Any]]) -> str:
        """The event of the job as it is now, empty when it was sent before."""
        stamp = int(job.updated_at.timestamp() * 1_000_000)
        if stamp == self.progress:
            return ""
        self.progress = stamp
        return _event("progress", f"{self.step}.{stamp}", show(job))


async def _events(
    api: Api, subscription: Subscription, seen: _Seen, show: Callable[[Job], dict[str, Any]]
) -> AsyncIterator[str]:
    until = time.monotonic() + LONGEST_SECONDS
    yield f"retry: {RETRY_MS}\n\n"
    while time.monotonic() < until and not subscription.is_closed:
        job = subscription.job
        for text in seen.steps(await asyncio.to_thread(api.service.events, job.id, seen.step)):
            yield text
        yield seen.progressed(job, show) or ": still here\n\n"
        if job.has_ended:
            yield _event("end", f"{seen.step}.end", {"status": job.status})
            return
        if job.awaits_confirmation:
            yield _event("waiting", f"{seen.step}.waiting", {"status": job.status, "waits_for": "confirm"})
            return
        await subscription.wait_for_change(job, QUIET_SECONDS)


def _event(name: str, event_id: str, data: dict[str, Any]) -> str:
    return f"event: {name}\nid: {event_id}\ndata: {json.dumps(data)}\n\n"
