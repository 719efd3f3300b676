"""``run`` and ``create``: a new job, here and now or handed to Prefect."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from batch_jobs.deployments.cli import output, reports
from batch_jobs.deployments.cli.context import read_context
from batch_jobs.deployments.cli.hand_over import hand_over
from batch_jobs.deployments.cli.live import watch_to_rest
from batch_jobs.deployments.cli.options import AsJson, DryRun, Pairs, Type, Verbose, Whole, login_name
from batch_jobs.deployments.cli.run_here import running_here
from batch_jobs.deployments.time_parsing import parse_time
from batch_jobs.flows.errors import NotLaunched
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.workspace import Workspace, current_workspace


def time_typed(text: str) -> datetime:
    """The time that was typed.

    Raises:
        BadParameter: it is none.
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
        parser=time_typed,
        help="When to start it, ISO 8601; UTC without a zone; at once if past.",
    ),
]


def run(
    batch_type: Type,
    pairs: Pairs = None,
    whole: Whole = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Run a job here and now, with live progress. Exits 0 only when it is completed."""
    workspace = current_workspace()
    job = _record(workspace, batch_type, pairs, whole, dry_run, ProcessIdentity.current())
    with running_here(workspace, job, verbose) as run_job:
        job = run_job(job)
        if reports.awaits_confirmation(job) and (yes or output.is_conversation()):
            if not as_json:
                reports.print_plan(job)
            if yes or output.ask("go on?"):
                job = run_job(workspace.service.confirm(job.id, login_name(), ProcessIdentity.current()))
            elif not as_json:
                output.hint(f"nothing was done; `batch-jobs confirm {job.id} --here` does it")
                return
    finish(job, as_json)


def create(
    batch_type: Type,
    pairs: Pairs = None,
    whole: Whole = None,
    dry_run: DryRun = False,
    wait: Wait = False,
    idempotency_key: IdempotencyKey = None,
    start_at: StartAt = None,
    as_json: AsJson = False,
) -> None:
    """Record a job, hand it to Prefect and print its id."""
    workspace = current_workspace()
    job = _record(
        workspace,
        batch_type,
        pairs,
        whole,
        dry_run,
        worker=None,
        idempotency_key=idempotency_key,
        start_at=start_at,
    )
    try:
        if job.waits_for_prefect:
            job = hand_over(workspace.service, job, workspace.settings.home)
    except NotLaunched as error:
        if wait:
            raise
        output.hint(f"warning: {error}")  # it is safely recorded, and `serve` starts what waits
    if wait:
        finish(watch_to_rest(workspace.service, job.id), as_json)
    elif as_json:
        output.print_job_json(job)
    else:
        output.out.print(job.id)


def finish(job: Job, as_json: bool) -> None:
    """Print how a job ended and exit by it: 0 when it is completed or waits for a yes that was not given."""
    if as_json:
        output.print_job_json(job)
    else:
        if reports.awaits_confirmation(job):
            reports.print_plan(job)
            output.out.print()
        reports.print_outcome(job)
    if not reports.ended_well(job):
        output.error(reports.why_it_stopped(job, current_workspace().service.events(job.id)))
        raise typer.Exit(1)


def _record(
    workspace: Workspace,
    batch_type: str,
    pairs: list[str] | None,
    whole: str | None,
    dry_run: bool,
    worker: ProcessIdentity | None,
    idempotency_key: str | None = None,
    start_at: datetime | None = None,
) -> Job:
    strategy = workspace.strategies.get(batch_type)

    def put(path: Path) -> str:
        with path.open("rb") as source:
            return workspace.files.put(source, path.name)

    context = read_context(strategy.Context, pairs or [], whole, put)
    return workspace.service.record(
        batch_type,
        context,
        dry_run=dry_run,
        created_by=login_name(),
        trigger=Trigger.CLI,
        idempotency_key=idempotency_key,
        start_at=start_at,
        worker=worker,
    )
