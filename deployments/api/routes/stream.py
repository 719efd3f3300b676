"""A job as server-sent events: each step of its history and its progress, until it ends."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from batch_jobs.deployments.api.auth import Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi, CurrentCaller, requires
from batch_jobs.deployments.api.job_stream import Subscription
from batch_jobs.deployments.api.openapi import EVENT_STREAM, refusals
from batch_jobs.deployments.api.schemas import event_json, job_json
from batch_jobs.flows.jobs.model import Job, JobEvent

QUIET_SECONDS = 15.0  # then a comment is sent, so that nobody in between takes the connection for dead
LONGEST_SECONDS = 900.0  # then the stream ends and is to be resumed, which looks at the key again
RETRY_MS = 1000  # how soon a browser comes back

router = APIRouter(tags=["batch jobs"])

#: Ids are ``<last step>`` for a step, ``<last step>.<version of the progress>`` for progress, ``<last step>.end``.
EVENT_ID = re.compile(r"([0-9]{1,18})(?:\.(?:([0-9]{1,20})|(end)))?")


@router.get(
    "/admin/batch-jobs/{job_id}/stream",
    dependencies=[requires(Right.READ)],
    summary="Follow a job by server-sent events",
    response_class=StreamingResponse,
    responses={200: EVENT_STREAM, 204: {"description": "Ended, and sent to the end before"}, **refusals(401, 403, 404)},
)
async def follow(
    job_id: str,
    api: CurrentApi,
    caller: CurrentCaller,
    last_event_id: str | None = Header(None, description="Of the last event that was seen; what follows is sent."),
) -> Response:
    """Events ``status`` (a step of the history) and ``progress`` (the job); closes once the job has ended."""
    job = await asyncio.to_thread(api.job, job_id, caller)
    seen = _Seen(last_event_id)
    if job.has_ended and seen.end and not await asyncio.to_thread(api.service.events, job.id, seen.step):
        return Response(status_code=204)  # a browser comes back for ever after anything else
    async with AsyncExitStack() as opening:
        subscription = await opening.enter_async_context(api.streams.subscribe(job, caller.key_id))
        held = opening.pop_all()
    return _Stream(_events(api, subscription, seen, lambda job: job_json(job, caller)), held)


class _Stream(StreamingResponse):
    """A stream that lets go of its job however it ends, also when it never began."""

    def __init__(self, content: AsyncIterator[str], held: AsyncExitStack) -> None:
        super().__init__(content, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self._held = held

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
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
        await subscription.wait_for_change(job, QUIET_SECONDS)


def _event(name: str, event_id: str, data: dict[str, Any]) -> str:
    return f"event: {name}\nid: {event_id}\ndata: {json.dumps(data)}\n\n"
