"""Cutting an import into partitions: ranges of the groups of its work file, each of whole keys."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import pyarrow as pa
from sqlalchemy import Connection, Table, inspect

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.partition import Partition
from batch_jobs.strategies.shop.importing.work_file import KEY, read_groups
from batch_jobs.strategies.shop.medusa.ids import new_ids

#: Chunks that a partition has at least: with fewer it is over before its process has begun.
LEAST_GROUPS = 2


def why_whole(job: JobRun, size: int, written: Sequence[Table]) -> str | None:
    """Why an import is not cut, whatever is in its file; ``None`` where it may be.

    Args:
        job: has the plan.
        size: how many partitions are worked on at a time.
        written: the tables that the import writes.
    """
    if job.context.all_or_nothing:
        return "all_or_nothing is one transaction"
    if database_of(job.target).is_embedded:
        return "this database has one writer at a time"
    if _count(job, size) < 2:
        return f"the file has fewer than {2 * LEAST_GROUPS} chunks of {job.chunk_size:,} rows"
    with job.target.connect() as connection:
        there = inspect(connection)
        reasons = (_why_in_order(connection, table) for table in written if there.has_table(table.name))
        return next(filter(None, reasons), None)


def cut(job: JobRun, size: int, noun: str, units: Callable[[int, int], int]) -> list[Partition]:
    """As many partitions as are worked on at a time, of about as many groups each.

    Args:
        job: has the plan.
        size: how many are worked on at a time.
        noun: what keys are, for people.
        units: how much a job goes through with that many keys and rows.
    """
    count, groups = _count(job, size), job.plan["_groups"]
    edges = [groups * number // count for number in range(count + 1)]
    # the same in all partitions: what they make the ids of common rows of
    seed = new_ids("seed", 1)[0].as_py().removeprefix("seed_")
    sizes = list(_sizes(job))
    partitions, before = [], 0
    for first, end in pairwise(edges):
        keys = sum(keys for keys, _ in sizes[first:end])
        rows = sum(rows for _, rows in sizes[first:end])
        name = f"{noun} {before + 1:,}–{before + keys:,}"
        partitions.append(Partition(name, {"groups": [first, end], "seed": seed}, units(keys, rows)))
        before += keys
    return partitions


def groups_of(job: JobRun) -> range:
    """The numbers of the groups that ``process`` is to write: of the job's partition, or all."""
    return range(*job.partition.plan["groups"]) if job.partition else range(job.plan["_groups"])


def checked_groups(job: JobRun, columns: list[str]) -> Iterator[tuple[pa.Table, pa.Table]]:
    """All groups, with only these columns of theirs and the key, each with what the preview found of its keys."""
    groups = read_groups(job.files, job.plan["_work_file"], columns=[*columns, KEY])
    marks = read_groups(job.files, job.plan["_unchanged"])
    for (_, group), (_, marked) in zip(groups, marks, strict=True):
        job.stop_if_asked()
        yield group, marked


def _why_in_order(connection: Connection, table: Table) -> str | None:
    """What a shop has added to a table of Medusa's by which one row decides on another."""
    key = [column.name for column in table.primary_key]
    apart = {frozenset(index.columns.keys()) for index in table.indexes if index.unique}
    return database_of(connection).why_in_order(connection, table, list(table.columns.keys()), key, apart)


def _count(job: JobRun, size: int) -> int:
    return min(size, int(job.plan["_groups"]) // LEAST_GROUPS)


def _sizes(job: JobRun) -> Iterator[tuple[int, int]]:
    """The number of keys and rows of each group."""
    return ((marked.num_rows, group.num_rows) for group, marked in checked_groups(job, []))
