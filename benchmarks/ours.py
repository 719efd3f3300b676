"""Running our strategies phase by phase, without Prefect, as the flow does."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from ulid import ULID

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun


def open_job(strategy: BatchJobStrategy, context: dict[str, Any], target: Engine, files: Path) -> JobRun:
    """A job ready for its hooks."""
    job_id = f"batch_{ULID()}"
    parts = JobParts(target, FileStore(str(files)), CheckpointStore(target, job_id, token=1))
    return JobRun(JobIdentity(job_id, strategy.batch_type, strategy.Context.model_validate(context)), parts)


def put(path: Path, files: Path) -> str:
    """Put a file into the store, returning its key."""
    with path.open("rb") as stream:
        return FileStore(str(files)).put(stream, path.name)


def run(strategy: BatchJobStrategy, job: JobRun) -> None:
    """All three hooks."""
    hooks.pre_process(strategy, job)
    hooks.process(strategy, job)
    hooks.post_process(strategy, job)


def peak_mb(module: str, *arguments: str) -> float:
    """Run a module in a process of its own, which ends with ``print_peak``, and return its peak memory in MB."""
    command = [sys.executable, "-m", module, *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak() -> None:
    """Print the peak resident memory of this process in MB; ``ru_maxrss`` would begin with that of its parent."""
    print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024)
