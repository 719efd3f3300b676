"""Cutting an import into parts of its input, where it makes no difference in which order they are loaded."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Table

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.lines import place_of
from batch_jobs.strategies.sdk.partition import Partition
from batch_jobs.strategies.sdk.partition_table import PartitionTable
from batch_jobs.strategies.tables.databases.loading import refers_to_itself
from batch_jobs.strategies.tables.formats.marks import Mark
from batch_jobs.strategies.tables.importing.plan import ImportPlan

#: There are as many parts as run at a time, and up to so many times as many, to even out, if they are not too small.
MOST_TIMES = 4
LEAST_ROWS = 200_000
LONGEST_NAME = 80  # characters of a file's name in that of a partition


@dataclass(frozen=True)
class Part:
    """What of the input is loaded: from one place to another, and the line that it begins with."""

    start: dict[str, Any] | None = None
    until: dict[str, Any] | None = None
    line: int = 0

    @classmethod
    def of(cls, job: JobRun) -> "Part":
        """The part that a job's partition is; all of the input where it is not cut."""
        return cls(**job.partition.plan) if job.partition else cls()


def why_in_one(job: JobRun, plan: ImportPlan, table: Table, exists: bool) -> str | None:
    """Why the input is to be loaded in its order, for people; ``None`` where it can be cut.

    Args:
        job: has the target and the context.
        plan: of the job.
        table: that is loaded, which perhaps is to be created.
        exists: whether it is there.
    """
    database = database_of(job.target)
    if database.is_embedded:
        return f"{database.name} has one writer"
    if plan.uncut is not None:
        return plan.uncut
    if len(plan.marks) < 2:
        return "the input is small"
    if refers_to_itself(table):
        return f"rows of {table.fullname} refer to others of it"
    if not exists:
        return None
    if plan.creates is not None:
        return f"{table.fullname} is there by now, and was to be created"
    key = [] if job.context.mode == "append" else plan.key
    with job.target.connect() as connection:
        return database.why_in_order(connection, table, list(plan.mapping.values()), key)


def partitions(plan: ImportPlan, size: int) -> list[Partition]:
    """The partitions of an import that can be cut."""
    files = [file.key for file in plan.files]
    return [
        Partition(
            _name(first, end, files),
            asdict(Part(first.start, end.start if end else None, first.line)),
            (end.rows if end else plan.total) - first.rows,
        )
        for first, end in cut([Mark(**mark) for mark in plan.marks], plan.total, size)
    ]


def cut(marks: Sequence[Mark], rows: int, size: int) -> list[tuple[Mark, Mark | None]]:
    """Where parts begin and end that have about as many rows each; the last one has no end.

    There are ``size`` of them; four times as many where each has 200,000 rows then, and else so many that each has.
    """
    parts = max(size, min(MOST_TIMES * size, rows // LEAST_ROWS))
    firsts = [marks[place] for place in sorted({_nearest(marks, rows * part // parts) for part in range(parts)})]
    return list(zip(firsts, [*firsts[1:], None], strict=True))


def has_partitions(job: JobRun) -> bool:
    """Whether an earlier attempt has cut the job: its plan is kept then, as its partitions are."""
    return bool(PartitionTable(job.target, job.id, 0).read())


def _nearest(marks: Sequence[Mark], row: int) -> int:
    return min(range(len(marks)), key=lambda place: abs(marks[place].rows - row))


def _name(first: Mark, end: Mark | None, files: Sequence[str]) -> str:
    """Unique in the job, whatever the files are called."""
    (file, line), (end_file, end_line) = place_of(first.line), place_of(end.line if end else 0)
    if len(files) == 1:
        return f"lines {line:,}–{end_line - 1:,}" if end else f"from line {line:,}"
    named = [f"{PurePosixPath(key).name[:LONGEST_NAME]} ({number})" for number, key in enumerate(files, 1)]
    begin = f"{named[file]} from line {line:,}"
    return f"{begin} to before {named[end_file]} line {end_line:,}" if end else begin
