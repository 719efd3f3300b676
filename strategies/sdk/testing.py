"""Running a strategy by itself, for its tests: no Prefect, no job table."""

import tempfile
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine
from ulid import ULID

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import DEFAULT_CHUNK_SIZE, JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.sdk.sources import Sources


def run_strategy(
    strategy: BatchJobStrategy,
    context: BaseModel | dict[str, Any] | None = None,
    *,
    target: Engine,
    files: FileStore | None = None,
    dry_run: bool = False,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    sources: Sources | None = None,
    access: DataAccess | None = None,
) -> JobResult:
    """Run the hooks of a strategy in this process and return the job's result.

    Args:
        strategy: the strategy to run.
        context: its parameters, as its ``Context`` or as a dict for it.
        target: the database it reads and writes.
        files: where its input and output files are; a temporary folder by default.
        dry_run: stop after ``pre_process``.
        chunk_size: rows a chunk should have.
        sources: what it may fetch from elsewhere; nothing by default.
        access: which tables of the target it may name; by default all but the jobs' and the database's own.

    Raises:
        ContextRefused: ``prepare`` refuses the context.
        Exception: whatever a hook raises.
    """
    given = context.model_dump() if isinstance(context, BaseModel) else context or {}
    prepared = strategy.prepare(strategy.Context.model_validate(given))
    job_id = f"batch_{ULID()}"
    store = files or FileStore(tempfile.mkdtemp(prefix="batch-jobs-"))
    checkpoints = CheckpointStore(target, job_id, token=1)
    parts = JobParts(target, store, checkpoints, chunk_size=chunk_size, sources=sources or Sources())
    parts.access = access or parts.access
    job = JobRun(JobIdentity(job_id, strategy.batch_type, prepared, dry_run), parts)
    hooks.pre_process(strategy, job)
    if not dry_run:
        hooks.process(strategy, job)
        hooks.post_process(strategy, job)
    return job.result
