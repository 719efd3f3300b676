"""An undo as a job: the look at what it will do, and its chunks."""

from collections.abc import Sequence

from sqlalchemy import func, inspect, literal, select, update

from batch_jobs.strategies.sdk.checkpoint import checkpoint_table
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.partition_table import partition_table
from batch_jobs.strategies.tables.changes.planned import planning
from batch_jobs.strategies.tables.changes.recording import record
from batch_jobs.strategies.tables.importing.left_out import wish_of
from batch_jobs.strategies.tables.importing.loading import limit_rejects, seen_all_the_same
from batch_jobs.strategies.tables.importing.plan import Counts
from batch_jobs.strategies.tables.importing.target_table import has_rows
from batch_jobs.strategies.tables.prefetch import prefetched
from batch_jobs.strategies.tables.undoing.blocks import Blocks, Fate
from batch_jobs.strategies.tables.undoing.left_out import LeftOutOfChunk, find_left_out, left_out_of
from batch_jobs.strategies.tables.undoing.log import JobLog, Logged, LoggedChunk
from batch_jobs.strategies.tables.undoing.plan import UndoPlan, describe
from batch_jobs.strategies.tables.undoing.preview import Preview
from batch_jobs.strategies.tables.undoing.references import Reference, Undeclared, has_index
from batch_jobs.strategies.tables.undoing.rejecting import Rejecting
from batch_jobs.strategies.tables.undoing.restoring import Restoring
from batch_jobs.strategies.tables.undoing.tables import UndoTables

#: Rows of which each reads so many others that it is worth saying.
MANY = 1_000


def look(job: JobRun, undeclared: Sequence[Undeclared]) -> None:
    """Find out what an undo will do, and leave that as the job's plan.

    Args:
        job: the undo.
        undeclared: references between tables of the target that no foreign key states.

    Raises:
        JobRefused: there is nothing to undo, or not for this job.
    """
    if job.checkpoint is not None and "job" in job.plan:
        return  # part of it is done; to compare with that would make a new plan of half the work
    log = JobLog(job.target, job.context.job)
    tables = log.tables()
    if not tables:
        raise JobRefused(
            f"nothing is kept of what {job.context.job} changed: it changed nothing, KEEP_CHANGES was off for it, "
            "or its changes are forgotten (KEEP_CHANGES_DAYS)"
        )
    found = UndoTables(job.target, job.access, undeclared)
    found.require_allowed(tables)
    plan = UndoPlan(job=job.context.job, force=job.context.force, tables={name: Counts() for name in tables})
    referring = {reference.place for name in tables for reference in found.references_to(name)}
    with planning(job.files, job.id, job.changes.options) as planned:
        Preview(job, _blocks(job, found), plan, referring, planned).run(log)
    job.progress.total = plan.total
    plan.emptied = [name for name in plan.tables if _is_emptied(job, found, name, plan)]
    job.plan.update(plan.as_json())
    describe(job, plan)
    _describe_slow_references(job, found, plan)
    if plan.counts.unchanged == plan.total:
        raise JobRefused(f"all that {plan.job} changed is as it was before: it was undone already; nothing was written")
    limit_rejects(job, plan.counts.reject, "nothing was written")


def restore(job: JobRun, undeclared: Sequence[Undeclared]) -> None:
    """Put back what is not yet, chunk by chunk.

    Args:
        job: the undo.
        undeclared: references between tables of the target that no foreign key states.

    Raises:
        TooManyRejects: more rows stay than may; the chunk that went beyond it is undone.
    """
    plan = UndoPlan.model_validate(job.plan)
    if job.checkpoint is None:
        _begin(job)
    find_left_out(job)
    log, tables = JobLog(job.target, plan.job), UndoTables(job.target, job.access, undeclared)
    tables.require_allowed(log.tables())
    blocks = _blocks(job, tables, frozenset(wish_of(job.plan).columns))
    rejecting = Rejecting(job, plan.tables)
    with left_out_of(job) as left_out, prefetched(log.chunks(job.checkpoint)) as chunks:
        for chunk in chunks:
            stays = left_out.of(chunk)
            with seen_all_the_same(job), job.chunk(cursor=chunk.cursor) as connection:
                restoring = Restoring(plan.job, connection, chunk.is_last, plan.force, stays)
                fates = restoring.chunk(blocks, chunk)
                record(connection, (changed for _, fate in fates for changed in fate.log))
                _account(job, chunk, fates, rejecting, stays)


def _begin(job: JobRun) -> None:
    """Let no process that still has the job which is undone commit another chunk; what the preview refused is looked
    at again."""
    job.rejects.restart()
    job.result.rejected, job.result.rejects_file_key = 0, None
    with job.fenced() as connection:
        for token in (checkpoint_table.c.token, partition_table.c.claim):
            if inspect(connection).has_table(token.table.name):
                is_its = token.table.c.job_id == job.context.job
                connection.execute(update(token.table).where(is_its).values({token: token + 1}))


def _account(
    job: JobRun, chunk: LoggedChunk, fates: list[tuple[Logged, Fate]], rejecting: Rejecting, left_out: LeftOutOfChunk
) -> None:
    before = job.progress.counters.advanced
    for logged, fate in fates:
        back, forced = len(fate.back), len(fate.forced)
        kind = logged.changed.kind
        job.count(
            created=back - forced if kind == "removed" else 0,
            updated=back if kind == "updated" else forced if kind == "removed" else 0,
            removed=back if kind == "created" else 0,
            unchanged=len(fate.unchanged),
        )
        rejecting.of(logged, fate, before, left_out.cells(logged))
        before += len(logged.changed)
    job.progress.advance(chunk.rows)
    rejected = job.progress.counters.rejected + job.rejects.pending_rows()
    limit_rejects(job, rejected, f"{before - chunk.rows} rows before them are done")


def _blocks(job: JobRun, tables: UndoTables, spared: frozenset[str] = frozenset()) -> Blocks:
    return Blocks(tables, f"batch_job_undo_{job.id[-12:].lower()}", spared)


def _describe_slow_references(job: JobRun, found: UndoTables, plan: UndoPlan) -> None:
    """Say which indexes are lacking where the database reads a whole table for each of many rows that it removes."""
    if database_of(job.target).is_embedded:
        return  # an undo makes them itself for as long as it takes
    for name, counts in plan.tables.items():
        for reference in found.references_to(name) if counts.remove > MANY else ():
            if not has_index(job.target, reference) and _has_many(job, reference):
                of = f"{reference.name} has no index on {', '.join(reference.columns)}"
                why = f"the database reads all of it for each row of {name} that is removed; with one it is quick"
                job.describe(f"undo-index-{reference.name}", "Index", f"{of}: {why}")


def _has_many(job: JobRun, reference: Reference) -> bool:
    with job.target.connect() as connection:
        query = select(literal(1)).select_from(reference.table).offset(MANY).limit(1)
        return connection.execute(query).first() is not None


def _is_emptied(job: JobRun, found: UndoTables, name: str, plan: UndoPlan) -> bool:
    """Whether all rows of a table go."""
    table, counts = found.named(name), plan.tables[name]
    if table is None or not counts.remove or counts.create or not has_rows(job, table):
        return False
    with job.target.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) == counts.remove
