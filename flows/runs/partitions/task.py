"""The work on one partition as a Prefect task, wherever it runs: it gets ids, and looks up the rest."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from prefect import task
from prefect.cache_policies import NO_CACHE

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.runs.attempt import masked_entry
from batch_jobs.flows.runs.handles import identity_of, parts_of
from batch_jobs.flows.runs.memory import reporting_lack_of_memory
from batch_jobs.flows.runs.reporting import Heartbeat, RowReport, stop_waiting_in_vain
from batch_jobs.flows.runs.tasks import SIGNALS, Interruption
from batch_jobs.flows.secret_fields.masking import original
from batch_jobs.flows.workspace import Workspace, current_workspace
from batch_jobs.strategies.sdk.connecting import waiting_as_runs_do
from batch_jobs.strategies.sdk.errors import exits_as_errors
from batch_jobs.strategies.sdk.job import JobParts, SilentReport
from batch_jobs.strategies.sdk.partition_checkpoint import PartitionCheckpoints
from batch_jobs.strategies.sdk.partition_run import Guard, run_partition
from batch_jobs.strategies.sdk.result import ErrorEntry
from batch_jobs.strategies.sdk.sessions import Session

#: How often it is looked for whether a partition is to stop, but for what its chunks find.
LOOK_SECONDS = 1.0


@task(name="partition", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def process_partition(job_id: str, claim: int, number: int, name: str, shared: Any = None) -> str:
    """Work on a partition from its checkpoint on.

    Args:
        job_id: the job.
        claim: of the attempt that the partition is worked on for.
        number: of the partition in the target.
        name: of the partition, which the task run has too.
        shared: what the strategy's ``around_partitions`` yielded.

    Returns:
        How the partition stands: its status, or ``superseded``. A stop is no error of a task.
    """
    workspace = current_workspace()
    with waiting_as_runs_do():
        job = workspace.store.get(job_id)
        if job.claim != claim:
            return "superseded"
        return _Execution(workspace, job, number, shared).run()


class _Execution:
    """One execution of a partition in this process."""

    def __init__(self, workspace: Workspace, job: Job, number: int, shared: Any) -> None:
        self._workspace = workspace
        self._job = job
        self._shared = shared
        self._session = Session(job.id, job.claim or 0, number, uuid4().hex[:8])
        self._strategy = workspace.strategies.get(job.type)
        self._opened = workspace.context_secrets.open(job)
        self._interruption = Interruption(SIGNALS)

    def run(self) -> str:
        report = RowReport(self._workspace.store, self._job, self._opened, _show_nothing, self._is_leaving)
        with self._workspace.target_of(self._session, report.stop_if_asked) as target:
            where = (socket.gethostname(), os.getpid())
            checkpoints = PartitionCheckpoints(target, self._session, where, report.stop_if_asked)
            own = PartitionReport(report, checkpoints)
            parts = parts_of(self._workspace, self._job, target, checkpoints, own)
            parts.partition, parts.shared = checkpoints.state(), self._shared
            identity = identity_of(self._job, self._strategy, self._opened)
            with self._opened.masking_logs(), self._beating(checkpoints, parts):
                return run_partition(self._strategy, identity, self._job.plan or {}, parts, checkpoints, self._guard)

    def _is_leaving(self) -> bool:
        return self._interruption.wanted

    @property
    def _guard(self) -> Guard:
        return Guard(self._around, self._entry)

    @contextmanager
    def _around(self) -> Iterator[None]:
        with self._interruption, self._opened.masking_errors(), exits_as_errors(), reporting_lack_of_memory():
            yield

    def _entry(self, error: BaseException) -> ErrorEntry:
        return masked_entry(original(error), self._strategy, self._opened)

    def _beating(self, checkpoints: PartitionCheckpoints, parts: JobParts) -> Heartbeat:
        def beat() -> bool:
            lives = checkpoints.beat()
            stop_waiting_in_vain(self._workspace.store, self._job.id, parts.target, lives)
            return lives

        return Heartbeat(self._workspace.settings.heartbeat_timeout, beat, parts.logger)


class PartitionReport(SilentReport):
    """Reports nothing, as a partition's counts are in its checkpoint; says when it is to stop.

    Args:
        row: reports to the job's row, and reads there whether the job is to stop.
        checkpoints: of the partition, where the process that has the job asks it to.
    """

    def __init__(self, row: RowReport, checkpoints: PartitionCheckpoints) -> None:
        self._row, self._checkpoints = row, checkpoints
        self._looked_at = 0.0

    def stop_reason(self) -> str | None:
        """Why to stop at this chunk edge, if at all.

        A chunk finds it with what it writes; beside that it is looked for once a second, in both databases.
        """
        if self._checkpoints.asked_to_stop or time.monotonic() - self._looked_at < LOOK_SECONDS:
            return self._checkpoints.asked_to_stop
        reason = self._row.stop_reason() or self._checkpoints.stop_reason()
        self._looked_at = time.monotonic()
        return reason


def _show_nothing(_progress: float) -> None:
    """The process that has the job shows its progress."""
