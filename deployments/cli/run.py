"""``run``, ``undo`` and ``create``: a new job, here and now or handed to Prefect."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from batch_jobs.deployments.cli import output, plans, reports
from batch_jobs.deployments.cli.context import read_context
from batch_jobs.deployments.cli.options import (
    AsJson,
    ContextJson,
    ContextPairs,
    DryRun,
    JobId,
    StrategyType,
    Verbose,
)
from batch_jobs.deployments.cli.running import running_here, start_in_prefect
from batch_jobs.deployments.cli.watch import watch_job
from batch_jobs.deployments.errors import UsageRefused
from batch_jobs.deployments.login import login_name
from batch_jobs.deployments.time_parsing import parse_time
from batch_jobs.flows.errors import NotLaunched
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.service import JobOptions
from batch_jobs.flows.jobs.undos import UNDO, UNDONE
from batch_jobs.flows.workspace import Workspace, current_workspace
from batch_jobs.strategies.sdk.partition import MOST_PARTITIONS


def time_of_option(text: str) -> datetime:
    """Read the time of ``--at``.

    Raises:
        BadParameter: it is not ISO 8601.
    """
    try:
        return parse_time(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time such as 2026-01-31T22:00 or 2026-01-31T22:00+01:00") from None


Yes = Annotated[bool, typer.Option("--yes", "-y", help="With --dry-run: show the plan and go on without asking.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the job; exit 0 only when it is completed.")]
IdempotencyKey = Annotated[
    str | None,
    typer.Option("--idempotency-key", metavar="KEY", help="The same key with the same job gives the same job again."),
]
StartAt = Annotated[
    datetime | None,
    typer.Option(
        "--at",
        metavar="TIME",
        parser=time_of_option,
        help="When to start it, ISO 8601; UTC without a zone; at once if past.",
    ),
]
Partitions = Annotated[
    int | None,
    typer.Option(
        "--partitions",
        metavar="N",
        min=1,
        max=MOST_PARTITIONS,
        help="How many partitions are worked on at a time, of a type that is cut into some; else as the settings say.",
        show_default=False,
    ),
]


def run(
    batch_type: StrategyType,
    pairs: ContextPairs = None,
    whole: ContextJson = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    partitions: Partitions = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Run a job here and now, with live progress. Exits 0 only when it is completed."""
    workspace = current_workspace()
    options: JobOptions = {"dry_run": dry_run, "partitions": partitions}
    job = _record(workspace, batch_type, pairs, whole, options, ProcessIdentity.current())
    job = run_and_ask(workspace, job, yes, yes or output.is_interactive(), as_json, verbose)
    if not dry_run or yes:
        _refuse_waiting(workspace, job)


def undo(
    job_id: JobId,
    force: Annotated[
        bool, typer.Option("--force", help="Take changes back too that others have written over; the plan shows them.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be put back, and ask nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Show the plan and go on without asking.")] = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Take back what a job changed, after a look at what that does. Exits 0 only when done, or waiting for a yes."""
    if dry_run and yes:
        raise UsageRefused("--dry-run only looks and --yes goes on; give one of them")
    workspace = current_workspace()
    job = workspace.service.record(
        UNDO,
        {UNDONE: job_id, "force": force},
        worker=ProcessIdentity.current(),
        dry_run=True,
        created_by=login_name(),
        trigger=Trigger.CLI,
    )
    may_go_on = yes or (not dry_run and output.is_interactive())
    job = run_and_ask(workspace, job, yes, may_go_on, as_json, verbose)
    if not dry_run:
        _refuse_waiting(workspace, job)


def run_and_ask(workspace: Workspace, job: Job, yes: bool, may_go_on: bool, as_json: bool, verbose: bool) -> Job:
    """Run a job in this process; one that waits for a yes goes on at once, or if a person says so."""
    with running_here(workspace, job, verbose) as run_job:
        job = run_job(job)
        by_other = job.awaits_confirmation and workspace.service.why_by_other(job, job.plan)
        if job.awaits_confirmation and may_go_on and not by_other:
            if not as_json:
                plans.print_summary(job)
            if yes or output.ask("go on?"):
                job = run_job(workspace.service.confirm(job.id, login_name(), ProcessIdentity.current()))
            elif not as_json:
                output.hint(f"nothing was done; `batch-jobs confirm {job.id} --here` does it")
                return job
    reports.finish(job, as_json)
    return job


def create(
    batch_type: StrategyType,
    pairs: ContextPairs = None,
    whole: ContextJson = None,
    dry_run: DryRun = False,
    wait: Wait = False,
    idempotency_key: IdempotencyKey = None,
    start_at: StartAt = None,
    partitions: Partitions = None,
    as_json: AsJson = False,
) -> None:
    """Record a job, hand it to Prefect and print its id."""
    workspace = current_workspace()
    options: JobOptions = {
        "dry_run": dry_run,
        "idempotency_key": idempotency_key,
        "start_at": start_at,
        "partitions": partitions,
    }
    job = _record(workspace, batch_type, pairs, whole, options)
    try:
        if job.waits_for_prefect:
            job = start_in_prefect(workspace, job)
    except NotLaunched as error:
        if wait:
            raise
        output.hint(f"warning: {error}")  # it is safely recorded, and `serve` starts what waits
    if wait:
        job = watch_job(workspace.claims, job.id)
        reports.finish(job, as_json)
        if not dry_run:
            _refuse_waiting(workspace, job)
    elif as_json:
        output.print_job_json(job)
    else:
        output.out.print(job.id)


def _refuse_waiting(workspace: Workspace, job: Job) -> None:
    """End the command as one that did not do what it was to, where somebody else has to confirm the job first."""
    why = workspace.service.why_by_other(job, job.plan) if job.awaits_confirmation else None
    if why:
        output.error(f"{job.id} waits: somebody else has to confirm it (BATCH_JOBS_CONFIRM_BY_OTHER: {why})")
        raise typer.Exit(1)


def _record(
    workspace: Workspace,
    batch_type: str,
    pairs: list[str] | None,
    whole: str | None,
    options: JobOptions,
    worker: ProcessIdentity | None = None,
) -> Job:
    strategy = workspace.strategies.get(batch_type)

    def put(path: Path) -> str:
        with path.open("rb") as source:
            return workspace.files.put(source, path.name)

    context = read_context(strategy.Context, pairs or [], whole, put)
    made: JobOptions = {**options, "created_by": login_name(), "trigger": Trigger.CLI}
    return workspace.service.record(batch_type, context, worker=worker, **made)
