"""Writing the chunks of an import, each with its counts and rejects in one transaction."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from batch_jobs.strategies.sdk.errors import TooManyRejects
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.tables.importing.chunks import Chunk, Chunking, Chunks, Outcome, write_chunk
from batch_jobs.strategies.tables.importing.creation import Creation
from batch_jobs.strategies.tables.importing.left_out import LeftOut, left_out_key, lines_left_out, wish_of
from batch_jobs.strategies.tables.importing.partitions import Part
from batch_jobs.strategies.tables.importing.plan import ImportPlan
from batch_jobs.strategies.tables.importing.repeats import Repeats, read_repeats
from batch_jobs.strategies.tables.prefetch import prefetched


def load_all(job: JobRun, plan: ImportPlan, chunking: Chunking, creation: Creation) -> None:
    """Load the rows after the job's checkpoint, of a partition those of its part.

    Raises:
        TooManyRejects: more are bad than the job may have; the chunk that went beyond it is undone.
    """
    with ExitStack() as open_things:
        stream = open_things.enter_context(job.open_input(plan.repeats)) if plan.repeats else None
        part = Part.of(job)
        repeats = Repeats(read_repeats(stream) if stream else iter(()), part.line)
        wished = bool(wish_of(job.plan))
        left_out = LeftOut(open_things.enter_context(job.open_input(left_out_key(job.id))) if wished else None)
        chunks = Chunks(chunking, repeats, left_out, job.chunk_size, part).after(job.checkpoint)
        for chunk in open_things.enter_context(prefetched(chunks)):
            _load(job, chunking, chunk, creation)


def _load(job: JobRun, chunking: Chunking, chunk: Chunk, creation: Creation) -> None:
    with (
        seen_all_the_same(job) as rejects,
        job.chunk(cursor=chunk.cursor) as connection,
        creation.by_first_row(connection, bool(chunk.pieces)) as done,
    ):
        outcome = write_chunk(connection, chunking.loader, chunk, chunking.destination)
        done.rows = outcome.created
        account(job, chunk, outcome, rejects)


@contextmanager
def seen_all_the_same(job: JobRun) -> Iterator[list[Reject]]:
    """Takes the rejects of a chunk, to report them again where there are too many: it is undone, and they with it."""
    rejects: list[Reject] = []
    try:
        yield rejects
    except TooManyRejects:
        _report(job, rejects)
        raise


def account(job: JobRun, chunk: Chunk, outcome: Outcome, rejects: list[Reject]) -> None:
    """Count in a chunk what became of its rows, and report those refused, which ``rejects`` takes too.

    Raises:
        TooManyRejects: more are bad than the job may have.
    """
    rejects += chunk.rejects + outcome.rejects
    job.count(created=outcome.created, updated=outcome.updated, unchanged=outcome.unchanged)
    job.progress.advance(chunk.count)
    _report(job, rejects)
    if rejects and job.context.max_rejects is not None:
        rejected = job.progress.counters.rejected + len({reject.line for reject in rejects}) + job.rejected_elsewhere
        limit_rejects(job, rejected, f"{job.progress.counters.advanced - chunk.count} rows before them are done")


def _report(job: JobRun, rejects: list[Reject]) -> None:
    for reject in rejects:
        job.reject(reject.line, reject.column, reject.message, reject.row)


def limit_rejects(job: JobRun, rejected: int, written: str) -> None:
    """Have the job fail where more rows are rejected than it may have; ``written`` says what is done by then.

    Raises:
        TooManyRejects: they are.
    """
    allowed = job.context.max_rejects
    if allowed is not None and rejected > allowed + lines_left_out(job.plan):
        raise TooManyRejects(rejected, allowed, written)


def limit_all_rejects(job: JobRun) -> None:
    """The same once all partitions are in: those that ended at the same time did not see each other's.

    Raises:
        TooManyRejects: they are.
    """
    limit_rejects(job, job.result.rejected, "all rows are done")
