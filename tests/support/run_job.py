"""Goes on with a job in this process, as ``batch-jobs run`` and ``batch-jobs retry --here`` do."""

import os
from pathlib import Path

# what every run needs is imported here, once, in the server that the processes of runs are forked from
import batch_jobs.flows.runs.flow
import batch_jobs.strategies.table_export
import batch_jobs.strategies.table_import  # noqa: F401


def main(job_id: str, environment: dict[str, str], errors: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)

    from batch_jobs.flows.catalog import FLOWS
    from batch_jobs.flows.jobs.process_identity import ProcessIdentity
    from batch_jobs.flows.jobs.transitions import Status
    from batch_jobs.flows.workspace import current_workspace

    service = current_workspace().service
    job = current_workspace().claims.fail_if_dead(job_id)
    if job.status is Status.FAILED:
        job = service.retry(job_id, who="test", worker=ProcessIdentity.current())
    FLOWS[job.type](context=job.context, dry_run=job.dry_run, job_id=job_id)
