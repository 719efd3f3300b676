"""One attempt's way through the hooks of a strategy, whoever runs it."""

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.job import JobRun


def pre_process(strategy: BatchJobStrategy, job: JobRun) -> None:
    """Look at the input; afterwards the plan and the rejects found so far are kept."""
    job.rejects.restart()
    try:
        strategy.pre_process(job)
    finally:
        job.assemble_rejects()
        job.save()


def process(strategy: BatchJobStrategy, job: JobRun) -> None:
    """Do the work from the checkpoint on; the rejects file has what was refused so far, however far it got."""
    job.begin_processing()
    try:
        strategy.process(job)
    finally:
        job.assemble_rejects()
        job.save()


def post_process(strategy: BatchJobStrategy, job: JobRun) -> None:
    """Finish; the progress is whole then."""
    strategy.post_process(job)
    if job.progress.total is None or job.result.advancement_count >= job.progress.total:
        job.result.progress = 1.0
    job.save()
