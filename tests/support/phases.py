"""Jobs of a workspace in this process, phase by phase, without Prefect."""

from io import BytesIO
from typing import Any

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun


def put(workspace: Workspace, content: str | bytes, name: str = "in.csv") -> str:
    return workspace.files.put(BytesIO(content.encode() if isinstance(content, str) else content), name)


def run_of(workspace: Workspace, job: Job, chunk_size: int = 3) -> JobRun:
    context = workspace.strategies.get(job.type).Context.model_validate(workspace.context_secrets.open(job).values)
    identity = JobIdentity(job.id, job.type, context, job.dry_run, job.attempt, job.created_by)
    checkpoints = CheckpointStore(workspace.target, job.id, job.version)
    parts = JobParts(workspace.target, workspace.files, checkpoints, chunk_size=chunk_size, changes=workspace.changes)
    return JobRun(identity, parts, job.result.model_copy(deep=True), job.plan)


def previewed(workspace: Workspace, job: Job) -> Job:
    """A job that has looked at its input."""
    run = run_of(workspace, job)
    try:
        hooks.pre_process(workspace.strategies.get(job.type), run)
    except Exception as error:
        return workspace.store.move(job, Action.FAIL, who="test", why=str(error), **_kept(run))
    return workspace.store.move(job, Action.PRE_PROCESS, who="test", **_kept(run))


def finished(workspace: Workspace, job: Job, who: str = "carol") -> Job:
    """A job that has done all there is to do, confirmed where it waits."""
    if job.status is Status.CREATED:
        job = previewed(workspace, job)
    job = workspace.service.confirm(job.id, who)
    job = workspace.store.move(job, Action.PROCESS, who="test")
    run, strategy = run_of(workspace, job), workspace.strategies.get(job.type)
    hooks.process(strategy, run)
    hooks.post_process(strategy, run)
    return workspace.store.move(job, Action.COMPLETE, who="test", **_kept(run))


def waiting(workspace: Workspace, batch_type: str, **context: Any) -> Job:
    """A dry run that waits for its yes."""
    job = workspace.service.record(batch_type, context, dry_run=True, created_by="alice")
    return previewed(workspace, job)


def _kept(run: JobRun) -> dict[str, Any]:
    return {"plan": run.plan, "result": run.result.model_dump(mode="json")}
