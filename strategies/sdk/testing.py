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
from batch_jobs.strategies.sdk.partition_run import OneByOne
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
    partitions: int = 1,
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
        partitions: for how many at a time the strategy is to cut the job; they run one after the other.

    Raises:
        ContextRefused: ``prepare`` refuses the context.
        Exception: whatever a hook raises.
    """
    store = files or FileStore(tempfile.mkdtemp(prefix="batch-jobs-"))
    job = new_job(strategy, prepared(strategy, context), target, store, chunk_size, dry_run)
    job.sources, job.access = sources or job.sources, access or job.access
    run_hooks(strategy, job, partitions)
    return job.result


def new_job(
    strategy: BatchJobStrategy,
    context: BaseModel,
    target: Engine,
    files: FileStore,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    dry_run: bool = False,
) -> JobRun:
    """The handle of a job that nobody else knows."""
    job_id = f"batch_{ULID()}"
    parts = JobParts(target, files, CheckpointStore(target, job_id, token=1), chunk_size=chunk_size)
    return JobRun(JobIdentity(job_id, strategy.batch_type, context, dry_run), parts)


def prepared(strategy: BatchJobStrategy, context: BaseModel | dict[str, Any] | None) -> BaseModel:
    """The context as a job of the strategy has it.

    Raises:
        ContextRefused: ``prepare`` refuses it.
    """
    given = context.model_dump() if isinstance(context, BaseModel) else context or {}
    made: BaseModel = strategy.prepare(strategy.Context.model_validate(given))
    return made


def run_hooks(strategy: BatchJobStrategy, job: JobRun, partitions: int = 1) -> None:
    """Run the hooks, in a dry run the first one alone."""
    hooks.pre_process(strategy, job)
    if not job.dry_run:
        hooks.process(strategy, job, OneByOne(partitions))
        hooks.post_process(strategy, job)
