"""Handing a recorded job to the Prefect there is."""

from pathlib import Path

from batch_jobs.deployments.errors import PrefectUnreachable
from batch_jobs.deployments.prefect.connection import check_answers
from batch_jobs.flows.errors import NotLaunched
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.service import BatchJobService
from batch_jobs.flows.prefect.address import find_prefect


def hand_over(service: BatchJobService, job: Job, home: Path) -> Job:
    """Let Prefect run the job.

    Raises:
        NotLaunched: there is no Prefect, or it does not answer or has no deployment of the job's type.
    """
    known = find_prefect(home)
    if known is None:
        raise NotLaunched(job, "no Prefect is named and `batch-jobs serve` does not run here")
    try:
        check_answers(known)
    except PrefectUnreachable as error:
        raise NotLaunched(job, str(error)) from None
    return service.start(job)
