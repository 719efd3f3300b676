"""``list`` and ``show``: looking jobs up."""

import shlex
from typing import Annotated

import typer

from batch_jobs.deployments.cli import output, plans, reports
from batch_jobs.deployments.cli.options import AsJson, JobId
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.jobs.undos import shown_plan
from batch_jobs.flows.workspace import current_workspace

LIMIT = 50


def list_jobs(
    status: Annotated[Status | None, typer.Option("--status", help="Only jobs in this status.")] = None,
    batch_type: Annotated[str | None, typer.Option("--type", help="Only jobs of this type.")] = None,
    created_by: Annotated[str | None, typer.Option("--created-by", help="Only jobs of this person.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")] = LIMIT,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="Only jobs older than this one: the next page.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    workspace = current_workspace()
    found = workspace.service.list(JobFilter(status, batch_type, created_by), limit, before)
    jobs = [workspace.claims.fail_if_dead(job.id) if job.worker else job for job in found]
    if as_json:
        output.print_json([job.without_partitions().model_dump(mode="json") for job in jobs])
        return
    reports.print_list(jobs)
    if len(jobs) == limit:
        given = {"status": status, "type": batch_type, "created-by": created_by, "before": jobs[-1].id}
        options = [f"--{name} {shlex.quote(value)}" for name, value in given.items() if value is not None]
        output.hint(f"more: batch-jobs list {' '.join(options)}" + (f" --limit {limit}" if limit != LIMIT else ""))


def show(
    job_id: JobId,
    plan: Annotated[bool, typer.Option("--plan", help="Only what it found and will do, all of it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show all there is to know of a job."""
    workspace = current_workspace()
    job = workspace.claims.fail_if_dead(job_id)
    if plan:
        found = shown_plan(job, lambda ids: {one.id: one for one in workspace.service.of_ids(ids)})
        output.print_json(found) if as_json else plans.print_whole(found, job.id)
    elif as_json:
        output.print_job_json(job)
    else:
        reports.print_job(job, workspace.service.events(job_id), workspace.undoable(job))
