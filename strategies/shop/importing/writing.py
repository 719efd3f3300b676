"""Writing the groups of a work file, each in a chunk of the job."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, Table, bindparam, literal_column, update
from sqlalchemy.exc import DBAPIError

from batch_jobs.strategies.sdk.database import Database, database_of
from batch_jobs.strategies.sdk.errors import TooManyRejects
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.leaving_out import FOUND
from batch_jobs.strategies.shop.importing.grouping import run_starts
from batch_jobs.strategies.shop.importing.left_out import LeftOut
from batch_jobs.strategies.shop.importing.planning import (
    Changes,
    Checked,
    Indices,
    Planned,
    Planner,
    Tally,
    without_origin,
)
from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError, errors_at, refuse_rows
from batch_jobs.strategies.shop.importing.shop_log import ShopLog, ShopTables
from batch_jobs.strategies.shop.importing.work_file import read_groups
from batch_jobs.strategies.tables.databases.loading import Destination, Loader
from batch_jobs.strategies.tables.importing.bisect import bisect
from batch_jobs.strategies.tables.prefetch import prefetched

#: By which column of these new rows are written, the first that they have: imports that run at the same time come to
#: common rows in the same order then, so that they do not lock each other out. Those of one product stay as they are.
WRITING_ORDER = ("handle", "sku", "product_id")

#: Not ``func.now()``: a process that has loaded Prefect's server writes that for SQLite as no statement for many rows.
NOW: ColumnElement[Any] = literal_column("CURRENT_TIMESTAMP")

#: What is to be done with the last group, in its transaction.
Finish = Callable[[Connection], None]


@dataclass
class Written:
    """What became of a group; ``checked`` are its rows without those that the preview found unchanged or refused."""

    checked: Checked
    units: int
    refused: Mask
    refused_before: int = 0
    tally: Tally = field(default_factory=Tally)
    errors: list[RowError] = field(default_factory=list)

    def take(self, rows: Indices, planned: Planned) -> None:
        """Add what became of some of its rows."""
        self.tally.add(planned.changes.tally)
        self.refused[rows] = planned.refused
        self.errors += [RowError(int(rows[error.row]), error.column, error.message) for error in planned.errors]


def groups_to_write(job: JobRun, planner: Planner, first: int, end: int) -> Iterator[tuple[int, Written]]:
    """The groups from this one on to the one before ``end``, with their number.

    What the preview found unchanged or refused is not looked at again: the plan that was shown leaves it alone, and
    what an earlier group did meanwhile, such as to free a SKU, must not let a refused row in.
    """
    groups = read_groups(job.files, job.plan["_work_file"], first, end=end)
    marks = read_groups(job.files, job.plan["_unchanged"], first, end=end)
    left_out = LeftOut(job.plan)
    for (number, group), (_, marked) in zip(groups, marks, strict=True):
        unchanged, refused = marked.column("unchanged").to_numpy(), marked.column("refused").to_numpy()
        key_of = np.cumsum(run_starts(group)) - 1
        to_do = ~(unchanged | refused)[key_of]
        rows = int(to_do.sum())
        checked = planner.check(left_out.marked(group if rows == len(to_do) else group.filter(pa.array(to_do))))
        tally = planner.tally_unchanged(int(unchanged.sum()), int(unchanged[key_of].sum()))
        units = planner.units(len(unchanged), len(to_do))
        yield number, Written(checked, units, np.zeros(rows, dtype=bool), int(refused[key_of].sum()), tally)


def write_group(
    job: JobRun, planner: Planner, number: int, written: Written, finish: Finish | None, logged: ShopTables | None
) -> None:
    """Write a group in a chunk of its own; what is refused becomes a reject and the rest goes in.

    Args:
        job: the job, or its partition.
        planner: says what the group does.
        number: the group's.
        written: the group.
        finish: of the last group, what is to be done with it.
        logged: the tables whose changes are kept, if they are.
    """
    try:
        with job.chunk(cursor=number) as connection:
            if finish is None:
                # rows and checkpoint are in one commit, so that losing both with the server only repeats the chunk;
                # the last chunk waits for the disk, and with it for all before it
                database_of(connection).commit_lazily(connection)
            _write(connection, planner, written, logged)
            if finish is not None:
                finish(connection)
            _count(job, planner, written)
            before = job.progress.counters.advanced - written.units
            limit_rejects(job, _rejected(job, written), f"{before} before them are done")
    except TooManyRejects:
        _refuse(job, planner, written.checked, written.refused, written.errors)  # undone with the chunk
        raise


def write_at_once(
    job: JobRun, planner: Planner, groups: Iterable[tuple[int, Written]], finish: Finish, logged: ShopTables | None
) -> None:
    """Write all groups in one chunk, or nothing when a row is refused."""
    with job.chunk(cursor=job.plan["_groups"] - 1) as connection:
        for _, written in groups:
            job.stop_if_asked()
            _write(connection, planner, written, logged)
            _count(job, planner, written)
            limit_rejects(job, int(written.refused.sum()), "nothing was written")
        finish(connection)


def limit_rejects(job: JobRun, rejected: int, written: str) -> None:
    """Fail the job when more rows are refused than it allows.

    Raises:
        TooManyRejects: says how many.
    """
    allowed = 0 if job.context.all_or_nothing else job.context.max_rejects
    if allowed is not None and rejected > allowed + int(job.plan.get(FOUND, {}).get("lines", 0)):
        raise TooManyRejects(rejected, allowed, written)


def _rejected(job: JobRun, written: Written) -> int:
    """How many rows are rejected so far, those of the job's other partitions included where that matters."""
    elsewhere = 0 if job.context.max_rejects is None else job.rejected_elsewhere
    return job.progress.counters.rejected + int(written.refused.sum()) + elsewhere


def _write(connection: Connection, planner: Planner, written: Written, logged: ShopTables | None) -> None:
    checked = written.checked
    if not checked.keys:
        return
    keys = pa.table({"key": pa.array(np.arange(checked.keys))})

    def write(part: pa.Table) -> tuple[Indices, Planned, ShopLog | None]:
        rows, of_part = np.arange(len(checked.key_of)), checked
        if part.num_rows < keys.num_rows:
            rows = np.flatnonzero(np.isin(checked.key_of, part.column("key").to_numpy()))
            of_part = planner.check(checked.group.take(pa.array(rows)))
        planned = planner.plan(connection, of_part)
        log = None if logged is None else ShopLog(connection, logged)
        apply_changes(connection, planned.changes, log)
        return rows, planned, log

    parts, refused = bisect(connection, keys, write)
    for part in parts:
        rows, planned, log = part.outcome
        written.take(rows, planned)
        if log:
            log.record()
    for key in refused:
        rows = np.flatnonzero(checked.key_of == key.index)
        written.refused[rows] = True
        written.errors += errors_at(rows.tolist(), None, key.message)
    written.tally.rows_rejected = int(written.refused.sum())


def _count(job: JobRun, planner: Planner, written: Written) -> None:
    tally = written.tally
    job.count(created=tally.created, updated=tally.updated, unchanged=tally.unchanged)
    job.progress.advance(written.units)
    job.progress.counters.rejected += written.refused_before
    _refuse(job, planner, written.checked, written.refused, written.errors)


def _refuse(job: JobRun, planner: Planner, checked: Checked, refused: Mask, errors: list[RowError]) -> None:
    refuse_rows(job, checked.group, np.flatnonzero(refused), errors, planner.with_its_key)


def apply_changes(connection: Connection, changes: Changes, log: ShopLog | None = None) -> None:
    """Write changes in the connection's transaction; raises what the driver raises where a row is refused.

    Args:
        connection: to the shop.
        changes: to write.
        log: takes what becomes of each row, where that is kept.
    """
    try:
        # first, while nothing else is locked: another partition's transaction that makes them is waited for
        for table, common in changes.common:
            _make_in_common(connection, table, common, log)
        for table, rows in changes.deletes:
            if log:
                log.deleting(table, rows)
            _delete(connection, table, without_origin(rows).to_pylist())
    except DBAPIError as error:
        raise error.orig or error from None
    _insert(connection, changes.makes, log)
    try:
        for table, rows in changes.updates:
            with log.updating(table, rows) if log else nullcontext():
                _update(connection, table, without_origin(rows).to_pylist())
    except DBAPIError as error:
        raise error.orig or error from None
    _insert(connection, changes.inserts, log)


def _make_in_common(connection: Connection, table: Table, rows: list[dict[str, Any]], log: ShopLog | None) -> None:
    statement = database_of(connection).insert(table).on_conflict_do_nothing()
    if log:
        log.made_in_common(table, list(connection.scalars(statement.returning(table.c.id), rows)))
    else:
        connection.execute(statement, rows)


def _insert(connection: Connection, inserts: list[tuple[Table, pa.Table]], log: ShopLog | None) -> None:
    with prefetched(_encoded(database_of(connection), inserts)) as encoded:
        for table, rows, loader, payload in encoded:
            loader.write(connection, payload)
            if log:
                log.created(table, rows)


def _delete(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    condition = [table.c[name] == bindparam(f"of_{name}") for name in rows[0]]
    renamed = [{f"of_{name}": value for name, value in row.items()} for row in rows]
    connection.execute(table.delete().where(*condition), sorted(renamed, key=lambda row: [*row.values()]))


def _update(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    names = [name for name in rows[0] if name != "row_id"]
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    statement = update(table).where(table.c.id == bindparam("row_id")).values(**values, updated_at=NOW)
    renamed = [{"row_id": row["row_id"], **{f"new_{name}": row[name] for name in names}} for row in rows]
    connection.execute(statement, sorted(renamed, key=lambda row: row["row_id"]))


def _encoded(
    database: Database, inserts: list[tuple[Table, pa.Table]]
) -> Iterator[tuple[Table, pa.Table, Loader, Any]]:
    for table, unordered in inserts:
        rows = _ordered(unordered)
        values = without_origin(rows)
        loader = database.loader(Destination(table, values.column_names, [], "append"))
        yield table, rows, loader, loader.encode(values)


def _ordered(rows: pa.Table) -> pa.Table:
    column = next((name for name in WRITING_ORDER if name in rows.column_names), None)
    return rows.sort_by(column) if column else rows
