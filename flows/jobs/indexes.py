"""The partial indexes of the job database, for the migrations and what compares them with the tables.

They are apart from the tables as SQLAlchemy loads its whole PostgreSQL dialect to check their conditions, which takes
longer than reading jobs from SQLite does.
"""

from typing import Any

from sqlalchemy import Column, ColumnElement, Index

from batch_jobs.flows.jobs.table import batch_job, batch_job_event, has_not_ended, has_open_run, is_kept


def _index(name: str, *columns: Column[Any], where: ColumnElement[bool], unique: bool = False) -> None:
    Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


# each list is a walk along one of these, however many jobs there are; ids are ULIDs, but a run that was scheduled days
# before makes its row when it begins, so a list by time is not one by id
for _columns in (("created_at", "id"), *((name, "created_at", "id") for name in ("created_by", "type", "status"))):
    _index(f"ix_batch_job_live_{'_'.join(_columns)}", *(batch_job.c[name] for name in _columns), where=is_kept)
_index(
    "ix_batch_job_header",
    *(batch_job.c[name] for name in ("header", "type", "created_by", "id")),
    where=batch_job.c.header.is_not(None),
)
_index("ix_batch_job_open_run", batch_job.c.id, where=has_open_run)
_index("uq_batch_job_active_key", batch_job.c.active_key, where=has_not_ended, unique=True)
_index("ix_batch_job_belongs_to", batch_job.c.belongs_to, where=batch_job.c.belongs_to.is_not(None))
_index("ix_batch_job_event_unpublished", batch_job_event.c.id, where=batch_job_event.c.published_at.is_(None))
