"""Publishes every step of a job's life to Prefect as an event ``batch-job.<status>``, for automations to act on."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import Engine, select, update

from batch_jobs.flows.jobs.model import Job, JobEvent
from batch_jobs.flows.jobs.table import batch_job, batch_job_event

if TYPE_CHECKING:
    from prefect.events import Event

AT_ONCE = 200  # events
#: What a payload may have as JSON; Prefect takes no event of more than 1.5 MB.
PAYLOAD_BYTES = 500_000
#: What is left out of one that has more, in this order.
LARGE = ("context", "plan", "result")
#: What the history calls a step that leaves the status as it is; any other is published by the status it leads to.
NOTES = ("try_again", "interrupt", "relaunch")


class Publisher:
    """Publishes what the history has and Prefect does not know yet.

    The history is written with the change itself, so nothing is lost when Prefect is away; an event that is sent twice
    has the same id.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def publish(self) -> int:
        """Publish the oldest unpublished steps and return how many.

        Raises:
            Exception: Prefect cannot be reached; they are published the next time.
        """
        import asyncio

        from prefect.events.clients import get_events_client

        unpublished = await asyncio.to_thread(self._unpublished)
        if not unpublished:
            return 0
        async with get_events_client(checkpoint_every=1) as client:
            for _, event in unpublished:
                await client.emit(event)
        await asyncio.to_thread(self._mark, [number for number, _ in unpublished])
        return len(unpublished)

    def _unpublished(self) -> list[tuple[int, "Event"]]:
        query = (
            select(batch_job_event, batch_job_event.c.id.label("number"))
            .where(batch_job_event.c.published_at.is_(None))
            .order_by(batch_job_event.c.id)
            .limit(AT_ONCE)
        )
        with self._engine.connect() as connection:
            steps = connection.execute(query).all()
            ids = {step.job_id for step in steps}
            rows = connection.execute(select(batch_job).where(batch_job.c.id.in_(ids))).all()
        jobs = {row.id: Job.model_validate(row) for row in rows}
        return [
            (step.number, event_of(jobs[step.job_id], JobEvent.model_validate(step)))
            for step in steps
            if step.job_id in jobs
        ]

    def _mark(self, numbers: Sequence[int]) -> None:
        with self._engine.begin() as connection:
            published = update(batch_job_event).where(batch_job_event.c.id.in_(numbers))
            connection.execute(published.values(published_at=datetime.now(UTC)))


def event_of(job: Job, step: JobEvent) -> "Event":
    """One step of a job's life as a Prefect event; its payload is the job without partitions, and the step."""
    from prefect.events import Event, RelatedResource, Resource

    name = step.action if step.action in NOTES else step.to_status
    resource = {
        "prefect.resource.id": f"batch-job.{job.id}",
        "prefect.resource.name": f"{job.type} {job.id}",
        "batch-job.type": job.type,
        "batch-job.status": str(step.to_status),
        "batch-job.attempt": str(step.attempt),
        "batch-job.created-by": job.created_by or "",
    }
    related = []
    if job.flow_run_id is not None:
        run = {"prefect.resource.id": f"prefect.flow-run.{job.flow_run_id}", "prefect.resource.role": "flow-run"}
        related.append(RelatedResource(run))
    return Event(
        occurred=cast(Any, step.at),
        event=f"batch-job.{name}",
        resource=Resource(resource),
        related=related,
        payload=_payload(job, step),
        id=_event_id(job, step),
    )


def _payload(job: Job, step: JobEvent) -> dict[str, Any]:
    payload = {"job": job.without_partitions().model_dump(mode="json"), "step": step.model_dump(mode="json")}
    for name in LARGE:
        if len(json.dumps(payload)) > PAYLOAD_BYTES:
            payload["job"][name] = None
    return payload


def _event_id(job: Job, step: JobEvent) -> UUID:
    return uuid5(NAMESPACE_URL, f"batch-job:{job.id}:{step.version}")
