"""Running our strategies phase by phase, without Prefect, as the flow does."""

import multiprocessing
import os
import socket
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from ulid import ULID

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.partition_checkpoint import PartitionCheckpoints
from batch_jobs.strategies.sdk.partition_run import CLAIM, OneByOne, run_partition
from batch_jobs.strategies.sdk.partition_table import PartitionTable
from batch_jobs.strategies.sdk.sessions import Session


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


class InProcesses(OneByOne):
    """Runs partitions at the same time, each in a process of its own, which is there when the work begins.

    Args:
        size: how many.
        uri: of the target.
        files: the folder of the file store.
    """

    def __init__(self, size: int, uri: str, files: Path) -> None:
        super().__init__(size)
        self._uri, self._files = uri, files
        self._pool = ProcessPoolExecutor(size, multiprocessing.get_context("spawn"))
        started = multiprocessing.get_context("spawn").Manager()
        with started:
            all_there = started.Barrier(size)
            for one in [self._pool.submit(all_there.wait) for _ in range(size)]:
                one.result()

    def run(self, strategy: BatchJobStrategy, job: JobRun, table: PartitionTable) -> None:
        """Run all."""
        identity = JobIdentity(job.id, job.type, job.context)
        plan, states = job.plan, table.read()
        work = [
            self._pool.submit(_partition, type(strategy), identity, plan, self._uri, self._files, state.number)
            for state in states
        ]
        for one in work:
            one.result()

    def stop(self) -> None:
        """End the processes."""
        self._pool.shutdown()


def _partition(
    kind: type[BatchJobStrategy], identity: JobIdentity, plan: dict[str, Any], uri: str, files: Path, number: int
) -> None:
    engine = make_engine(uri)
    where = (socket.gethostname(), os.getpid())
    checkpoints = PartitionCheckpoints(engine, Session(identity.id, CLAIM, number), where)
    parts = JobParts(engine, FileStore(str(files)), checkpoints, partition=checkpoints.state())
    run_partition(kind(), identity, plan, parts, checkpoints)
    engine.dispose()


def peak_mb(module: str, *arguments: str) -> float:
    """Run a module in a process of its own, which ends with ``print_peak``, and return its peak memory in MB."""
    command = [sys.executable, "-m", module, *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak() -> None:
    """Print the peak resident memory of this process in MB; ``ru_maxrss`` would begin with that of its parent."""
    print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024)
