"""Rows of the job table as jobs, also where somebody has changed a row by hand into what no job is."""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Row, Select, select

from batch_jobs.flows.errors import JobUnreadable
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.table import batch_job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk.result import ErrorEntry, JobResult

#: What comes of a value that cannot be understood; what the database itself says is no such error.
UNREADABLE = (ValueError, TypeError, LookupError)
#: What a job that is shown all the same has in place of what cannot be read; nothing where a column may be empty.
IN_PLACE: Mapping[str, Any] = {
    "type": "", "strategy": "", "status": Status.FAILED, "context": {}, "result": JobResult(), "dry_run": False,
    "trigger": Trigger.PYTHON, "attempt": 1, "version": 0,
    "created_at": datetime.fromtimestamp(0, UTC), "updated_at": datetime.fromtimestamp(0, UTC),
}  # fmt: skip

logger = logging.getLogger(__name__)


def read_job(connection: Connection, query: Select[Any], given: Mapping[str, Any] | None = None) -> Job | None:
    """The one job that a query finds, if any.

    Raises:
        JobUnreadable: its row is none of a job.
    """
    try:
        row = connection.execute(query, given or {}).one_or_none()
        return Job.model_validate(row) if row else None
    except UNREADABLE:
        for job_id in connection.scalars(query.with_only_columns(batch_job.c.id), given or {}):
            raise JobUnreadable(job_id, _shown(connection, job_id)[1]) from None
        raise


def read_jobs(
    connection: Connection, query: Select[Any], job_of: Callable[[Row[Any]], Job] = Job.model_validate
) -> list[Job]:
    """The jobs that a query finds; one whose row cannot be read is shown as failed, with what is wrong as its error."""
    try:
        return [job_of(row) for row in connection.execute(query)]
    except UNREADABLE:
        return [job for job, _ in _one_by_one(connection, query)]


def without_partitions(row: Row[Any]) -> Job:
    """A job for a list: a page of them may have some 100,000 partitions, which take a second to be made objects of."""
    values = dict(row._mapping)
    if isinstance(values["result"], dict):
        values["result"] = {name: value for name, value in values["result"].items() if name != "partitions"}
    return Job.model_validate(values)


def read_workable_jobs(connection: Connection, query: Select[Any]) -> list[Job]:
    """The jobs that a query finds without those whose row cannot be read, about which nothing can be done."""
    try:
        return [Job.model_validate(row) for row in connection.execute(query)]
    except UNREADABLE:
        found = _one_by_one(connection, query)
        for job, wrong in found:
            if wrong:
                logger.warning("%s", JobUnreadable(job.id, wrong))
        return [job for job, wrong in found if not wrong]


def _one_by_one(connection: Connection, query: Select[Any]) -> list[tuple[Job, list[str]]]:
    ids = list(connection.scalars(query.with_only_columns(batch_job.c.id)))
    return [_shown(connection, job_id) for job_id in ids]


def _shown(connection: Connection, job_id: str) -> tuple[Job, list[str]]:
    """A job as far as its row can be read, and what is wrong with the rest."""
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for column in batch_job.c:
        try:
            values[column.name] = connection.scalar(select(column).where(batch_job.c.id == job_id))
        except UNREADABLE as error:
            wrong[column.name] = str(error)
    wrong |= _wrong_fields({**dict.fromkeys(wrong), **values}, wrong)
    if not wrong:  # it was mended meanwhile
        return Job.model_validate(values), []
    said = [f"{name} ({reason})" for name, reason in wrong.items()]
    shown = Job.model_validate(_completed(values, wrong))
    entry = ErrorEntry(message=str(JobUnreadable(job_id, said)), code=JobUnreadable.__name__, refused=True)
    shown.result.errors.append(entry)
    return shown, said


def _wrong_fields(values: Mapping[str, Any], known: Iterable[str]) -> dict[str, str]:
    try:
        Job.model_validate(_completed(values, known))
    except ValidationError as error:
        return {str(entry["loc"][0]): f"{entry['input']!r:.100}: {entry['msg']}" for entry in error.errors()}
    return {}


def _completed(values: Mapping[str, Any], wrong: Iterable[str]) -> dict[str, Any]:
    return {**values, **{name: JobResult() if name == "result" else IN_PLACE.get(name) for name in wrong}}
