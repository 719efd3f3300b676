"""One attempt's way through the hooks of a strategy, whoever runs it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.connecting import RUN_SECONDS
from batch_jobs.strategies.sdk.database import driver_says
from batch_jobs.strategies.sdk.errors import ChunkIsIn, RowsMoved
from batch_jobs.strategies.sdk.forks import ending_forks
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.partitioning import Partitioning, is_cut, run_partitions
from batch_jobs.strategies.sdk.transient import is_transient, pauses

#: Tries in a row of which none came any further.
TRIES = 12
#: How often one that waits for another try looks whether the job is to stop.
LOOK_SECONDS = 1.0


def pre_process(strategy: BatchJobStrategy, job: JobRun) -> None:
    """Look at the input; afterwards the plan and the rejects found so far are kept.

    It writes nothing to the target, so it looks again where the target ended that for a reason that passes.
    """

    def look() -> None:
        job.rejects.restart()
        strategy.pre_process(job)

    with _keeping_what_was_found(job):
        _until_it_passes(look, job, lambda: True)
        job.require_plan()


def process(strategy: BatchJobStrategy, job: JobRun, partitioning: Partitioning | None = None) -> None:
    """Do the work of a job or of its partition from the checkpoint on; with ``partitioning`` the strategy may cut it.

    The rejects file has what was refused so far, however far it got.

    What the target ended for a reason that passes is done again from the checkpoint, as a retry would: the checkpoint
    alone decides whether a chunk is in whose commit got no answer. A strategy that did something and has no chunks is
    not run again, but for one that is cut, as its partitions have them; and a target that was never reached is not
    tried again.
    """

    is_whole = False

    def work() -> None:
        nonlocal is_whole
        job.begin_processing()
        is_whole = partitioning is None or not is_cut(strategy, job, partitioning)
        if partitioning is None or is_whole:
            strategy.process(job)
        else:
            run_partitions(strategy, job, partitioning)

    with _keeping_what_was_found(job):
        _until_it_passes(work, job, lambda: job.can_go_on or not is_whole)


def post_process(strategy: BatchJobStrategy, job: JobRun) -> None:
    """Finish; the progress is whole then. It bears repeating, so it is run again where what failed it passes."""
    _until_it_passes(lambda: strategy.post_process(job), job, lambda: True)
    if job.progress.total is None or job.result.advancement_count >= job.progress.total:
        job.result.progress = 1.0
    job.save()


@contextmanager
def _keeping_what_was_found(job: JobRun) -> Iterator[None]:
    """Keep rejects and result however far the block gets; where that fails too, the block's error is what counts."""
    try:
        yield
    except BaseException:
        try:
            _keep(job)
        except Exception:
            job.logger.exception("what %s has found so far could not be kept", job.id)
        raise
    _keep(job)


def _keep(job: JobRun) -> None:
    job.keep_rejects()
    job.save()


def _until_it_passes(work: Callable[[], None], job: JobRun, may_repeat: Callable[[], bool]) -> None:
    done = -1
    while True:
        try:
            with ending_forks():
                work()
            return
        except Exception as error:
            if not (is_transient(error) or isinstance(error, (ChunkIsIn, RowsMoved))) or not may_repeat():
                raise
            if job.chunks_committed > done:
                left, done, since = _pauses(), job.chunks_committed, time.monotonic()
            pause = next(left, None)
            if pause is None or time.monotonic() - since > RUN_SECONDS:  # each try may have waited for a connection
                raise
            said = driver_says(error)
            job.logger.warning("the target ended what was being done (%s); it is done again in %.1f s", said, pause)
        _wait(job, pause)


def _pauses() -> Iterator[float]:
    return islice(pauses(), TRIES - 1)


def _wait(job: JobRun, seconds: float) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            job.stop_if_asked()
        except Exception as error:
            if not is_transient(error):  # the job database may be away with the target
                raise
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, LOOK_SECONDS))
