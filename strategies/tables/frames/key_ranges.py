"""Cutting an update into ranges of the key, where it makes no difference which rows are changed first."""

from dataclasses import asdict, dataclass

from sqlalchemy import Table

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.partition import Partition
from batch_jobs.strategies.tables.formats.marks import Mark
from batch_jobs.strategies.tables.frames.table_pages import Cursor
from batch_jobs.strategies.tables.importing.partitions import cut
from batch_jobs.strategies.tables.importing.plan import ImportPlan


@dataclass(frozen=True)
class KeyRange:
    """What of the table a partition is: the rows behind a key and not behind another, and how many come before."""

    after: Cursor | None = None
    until: Cursor | None = None
    before: int = 0


def key_ranges(plan: ImportPlan, size: int) -> list[Partition]:
    """The partitions of an update: as many rows each, as they were at its preview; the last one has no end."""
    ranges = []
    for first, end in cut([Mark(**mark) for mark in plan.marks], plan.total, size):
        until = end.start["after"] if end and end.start else None
        part = KeyRange(first.start["after"] if first.start else None, until, first.rows)
        name = f"rows {first.line:,}–{end.rows:,}" if end else f"from row {first.line:,}"
        ranges.append(Partition(name, asdict(part), (end.rows if end else plan.total) - first.rows))
    return ranges


def why_in_one(job: JobRun, plan: ImportPlan, table: Table) -> str | None:
    """Why the rows are to be changed in their order, for people; ``None`` where they can be cut."""
    database = database_of(job.target)
    if database.is_embedded:
        return f"{database.name} has one writer"
    if len(plan.marks) < 2:
        return "the rows are few"
    with job.target.connect() as connection:
        return database.why_in_order(connection, table, list(plan.mapping), plan.key)
