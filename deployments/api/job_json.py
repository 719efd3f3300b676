"""Jobs as the API shows them: Medusa v1's fields and forms, and some more."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from batch_jobs.deployments.api.authorization import Caller, Right
from batch_jobs.flows.jobs.model import Job, JobEvent
from batch_jobs.flows.jobs.queries import TIME_COLUMNS
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk.result import JobResult

#: The columns of Medusa's batch job, in its order.
MEDUSA_FIELDS = (
    "id",
    "created_at",
    "updated_at",
    "deleted_at",
    "type",
    "created_by",
    "context",
    "result",
    "dry_run",
    "pre_processed_at",
    "confirmed_at",
    "processing_at",
    "completed_at",
    "canceled_at",
    "failed_at",
    "status",
)
#: What we know beside it.
MORE_FIELDS = ("attempt", "trigger", "start_at", "paused_at")
FIELDS = (*MEDUSA_FIELDS, *MORE_FIELDS)
#: Shown whatever ``fields`` asks for; Medusa computes two of them wrongly then (section 5 of its description).
ALWAYS = frozenset({"id", "created_at", "status", "dry_run"})


def moment(at: datetime | None) -> str | None:
    """A time as JavaScript writes it: UTC, milliseconds, Z."""
    return None if at is None else f"{at.astimezone(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def job_json(job: Job, caller: Caller | None, fields: Collection[str] = FIELDS) -> dict[str, Any]:
    """A job with some of its fields.

    Args:
        job: the job.
        caller: who is shown it; traces of errors are for administrators. ``None`` sees what an operator does.
        fields: which ones.
    """
    traces = caller is not None and caller.may(Right.EVERYBODYS) and caller.may(Right.FILES)
    return {name: _shown(job, name, traces) for name in FIELDS if name in fields or name in ALWAYS}


def user_json(job: Job) -> dict[str, Any] | None:
    """What Medusa's ``expand=created_by_user`` adds: the holder of the key, of whom only the name is known."""
    if job.created_by is None:
        return None
    unknown = ("created_at", "updated_at", "deleted_at", "email", "first_name", "last_name", "api_token", "metadata")
    return {"id": job.created_by, "role": "member", **dict.fromkeys(unknown)}


def event_json(event: JobEvent) -> dict[str, Any]:
    """One step of a job's history."""
    return {**event.model_dump(mode="json"), "at": moment(event.at)}


def _shown(job: Job, name: str, traces: bool) -> Any:
    present = _FORMS.get(name)
    if present:
        return present(job)
    return _result(job, traces) if name == "result" else getattr(job, name)


def _result(job: Job, traces: bool) -> dict[str, Any] | None:
    if job.status is Status.CREATED and job.result == JobResult():
        return None  # as Medusa's until something was found
    found = job.result.model_dump(exclude_none=True)
    if not traces:
        found["errors"] = [{**entry, "err": None} for entry in found["errors"]]
    return found


def _time(name: str) -> Callable[[Job], Any]:
    return lambda job: moment(getattr(job, name))


_FORMS: Mapping[str, Callable[[Job], Any]] = {name: _time(name) for name in (*TIME_COLUMNS, "start_at", "deleted_at")}
