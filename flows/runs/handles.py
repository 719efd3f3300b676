"""What the hooks of a job are given, in the process that has the job and in those of its partitions."""

from prefect import get_run_logger
from sqlalchemy import Engine

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.runs.traced_checkpoints import TracedCheckpoints
from batch_jobs.flows.secret_fields.masking import OpenedContext
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import Checkpoints
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, Report


def identity_of(job: Job, strategy: BatchJobStrategy, opened: OpenedContext) -> JobIdentity:
    """Which job it is, with its secrets in place."""
    context = strategy.Context.model_validate(opened.values)
    return JobIdentity(job.id, job.type, context, job.dry_run, job.attempt, job.created_by)


def parts_of(workspace: Workspace, job: Job, target: Engine, checkpoints: Checkpoints, report: Report) -> JobParts:
    """What a job works with in a task or a flow of Prefect's; each of its chunks is a span of the job's trace."""
    return JobParts(
        target,
        workspace.files,
        TracedCheckpoints(checkpoints, job.traceparent),
        report,
        get_run_logger(),
        workspace.settings.chunk_size,
        workspace.settings.allowed_sources,
        workspace.access.of(job),
        workspace.changes,
    )
