"""Flows that a schedule runs: one that creates batch jobs, and the upkeep of the job table."""

from datetime import UTC, datetime, timedelta
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from prefect import flow, get_run_logger
from prefect.client.schemas.objects import FlowRun
from prefect.states import Completed

from batch_jobs.flows.errors import NotLaunched
from batch_jobs.flows.jobs.model import Trigger
from batch_jobs.flows.runs.run import this_run
from batch_jobs.flows.workspace import current_workspace
from batch_jobs.strategies.sdk.errors import ContextRefused

TEMPLATES = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
#: A tick that begins this many seconds late is left out, unless the deployment says otherwise.
LATE_SECONDS = 3600


@flow(name="create-batch-job", flow_run_name="create-batch-job {type}")
def create_batch_job(
    type: str,
    context: dict[str, Any] | None = None,
    dry_run: bool = False,
    skip_when_late_by: int | None = LATE_SECONDS,
    partitions: int | None = None,
) -> Any:
    """Create a batch job; give this flow's deployment a schedule to create one at each tick.

    Texts in ``context`` may hold ``{{ scheduled_time }}``, the tick as a UTC datetime, such as
    ``orders-{{ scheduled_time.strftime('%Y-%m-%d') }}``. However often a tick is run, by two schedulers or again after
    a crash, it creates one job. A tick that begins later than ``skip_when_late_by`` seconds is left out; ``null`` runs
    it however late. So many ``partitions`` of the job are worked on at a time; ``null`` is the setting's number.
    """
    run = this_run()
    tick = run.expected_start_time or datetime.now(UTC)
    if run.auto_scheduled and skip_when_late_by is not None and _lateness(tick) > timedelta(seconds=skip_when_late_by):
        return Completed(
            name="Skipped", message=f"the tick of {tick:%Y-%m-%dT%H:%M:%SZ} is more than {skip_when_late_by} s late"
        )
    try:
        job = current_workspace().service.create(
            type,
            rendered(context or {}, tick),
            dry_run=dry_run,
            trigger=Trigger.SCHEDULE,
            created_by=run.created_by.display_value if run.created_by else None,
            idempotency_key=tick_key(run, tick),
            partitions=partitions,
        )
    except NotLaunched as error:
        get_run_logger().warning("%s", error)
        return str(error)
    return job.id


@flow(name="reconcile-batch-jobs")
def reconcile() -> str:
    """Find and mend lost processes, jobs that Prefect does not know of, and runs that were moved by hand."""
    done = str(current_workspace().reconciling.run_alone())
    get_run_logger().info(done)
    return done


@flow(name="prune-batch-jobs")
def prune() -> str:
    """Remove jobs that ended more than ``BATCH_JOBS_RETENTION_DAYS`` ago, with their files; without it, none.

    What jobs changed more than ``BATCH_JOBS_KEEP_CHANGES_DAYS`` ago is forgotten, too, and the tally of jobs is counted
    anew.
    """
    workspace = current_workspace()
    workspace.store.tally.recount()
    days, kept = workspace.settings.retention_days, workspace.settings.keep_changes_days
    if kept is not None:
        jobs = workspace.pruning.forget_changes(timedelta(days=kept))
        get_run_logger().info(f"the changes of {jobs} jobs were forgotten")
    if days is None:
        return "BATCH_JOBS_RETENTION_DAYS is not set; no job was removed"
    done = str(workspace.pruning.run(timedelta(days=days)))
    get_run_logger().info(done)
    return done


def rendered(value: Any, scheduled_time: datetime) -> Any:
    """A context with its templates filled in; a text that is one template alone stays a text.

    Raises:
        ContextRefused: a template cannot be rendered.
    """
    if isinstance(value, dict):
        return {name: rendered(inner, scheduled_time) for name, inner in value.items()}
    if isinstance(value, list):
        return [rendered(inner, scheduled_time) for inner in value]
    if not isinstance(value, str) or "{{" not in value:
        return value
    try:
        return TEMPLATES.from_string(value).render(scheduled_time=scheduled_time)
    except TemplateError as error:
        raise ContextRefused(f"the template {value!r} cannot be filled in: {error}") from None


def tick_key(run: FlowRun, tick: datetime) -> str:
    """The idempotency key of one tick of a deployment's schedule; a run by hand is a tick of its own."""
    if not run.auto_scheduled or run.deployment_id is None:
        return f"run-{run.id}"
    return f"tick-{run.deployment_id}-{tick.astimezone(UTC):%Y%m%dT%H%M%S}"


def _lateness(tick: datetime) -> timedelta:
    return datetime.now(UTC) - tick
