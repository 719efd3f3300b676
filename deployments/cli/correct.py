"""``correct``: rows that a job has refused, with their cells corrected."""

from pathlib import Path
from typing import Annotated

import typer

from batch_jobs.deployments.cli import output, reports
from batch_jobs.deployments.cli.options import AsJson, DryRun, JobId, Verbose
from batch_jobs.deployments.cli.run import IdempotencyKey
from batch_jobs.deployments.cli.running import running_here, start_in_prefect
from batch_jobs.deployments.login import login_name
from batch_jobs.flows.errors import NotLaunched
from batch_jobs.flows.jobs.given_corrections import rows_of_file
from batch_jobs.flows.jobs.model import Trigger
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.workspace import current_workspace


def correct(
    job_id: JobId,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="The job's rejects file with its cells corrected.", show_default=False, exists=True
        ),
    ],
    dry_run: DryRun = False,
    here: Annotated[
        bool, typer.Option("--here", help="Run the new job in this process instead of handing it to Prefect.")
    ] = False,
    idempotency_key: IdempotencyKey = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Let the rows of a job that were refused go in, with their cells corrected.

    While the job waits for a yes, a new one with the whole input takes its place and waits too. Once it has completed,
    the corrected rows go in by a job of their own, which belongs to it.
    """
    workspace = current_workspace()
    job = workspace.job_corrections.correct(
        workspace.service.get(job_id),
        rows_of_file(lambda: file.open("rb"), file.name),
        dry_run=dry_run,
        created_by=login_name(),
        trigger=Trigger.CLI,
        idempotency_key=idempotency_key,
        worker=ProcessIdentity.current() if here else None,
    )
    if here:
        with running_here(workspace, job, verbose) as run_job:
            job = run_job(job)
        reports.finish(job, as_json)
        return
    try:
        if job.waits_for_prefect:
            job = start_in_prefect(workspace, job)
    except NotLaunched as error:
        output.hint(f"warning: {error}")  # it is safely recorded, and `serve` starts what waits
    reports.print_status(job, as_json)
