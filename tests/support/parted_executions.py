"""Jobs that are cut, whose partitions are executed in this process as a test says, on a target of its own."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine
from ulid import ULID

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun, SilentReport
from batch_jobs.strategies.sdk.partition import PartitionState
from batch_jobs.strategies.sdk.partition_checkpoint import PartitionCheckpoints
from batch_jobs.strategies.sdk.partition_run import run_partition
from batch_jobs.strategies.sdk.partition_table import PartitionTable
from batch_jobs.strategies.sdk.sessions import Session
from batch_jobs.strategies.sdk.testing import prepared


class Execution:
    """One execution of a partition, as a task runner begins it; several may be at it at once."""

    def __init__(self, cut: "Attempt", number: int) -> None:
        self._cut = cut
        self.checkpoints = PartitionCheckpoints(
            cut.target, Session(cut.id, cut.claim, number, uuid4().hex[:8]), ("host", 4711)
        )

    def parts(self) -> JobParts:
        report = _CheckpointReport(self.checkpoints)
        state = self.checkpoints.state()
        cut = self._cut
        return JobParts(cut.target, cut.files, self.checkpoints, report, partition=state, shared=cut.run.shared)

    def handle(self) -> JobRun:
        """What the strategy's ``process`` gets."""
        return JobRun(self._cut.identity, self.parts(), plan=self._cut.run.plan)

    def go(self) -> str:
        """Run it to its end."""
        cut = self._cut
        return run_partition(cut.strategy, cut.identity, cut.run.plan, self.parts(), self.checkpoints)


class _CheckpointReport(SilentReport):
    def __init__(self, checkpoints: PartitionCheckpoints) -> None:
        self._checkpoints = checkpoints

    def stop_reason(self) -> str | None:
        return self._checkpoints.stop_reason()


class Attempt:
    """An attempt at a job that is cut; how its partitions are run is the test's, by default one after the other."""

    def __init__(
        self,
        strategy: BatchJobStrategy,
        context: dict[str, Any],
        target: Engine,
        files: FileStore,
        claim: int = 1,
        earlier: "Attempt | None" = None,
    ) -> None:
        self.strategy, self.target, self.files, self.claim = strategy, target, files, claim
        self.id = earlier.id if earlier else f"batch_{ULID()}"
        self._context = context
        self.identity = JobIdentity(self.id, strategy.batch_type, prepared(strategy, context), attempt=claim)
        parts = JobParts(target, files, CheckpointStore(target, self.id, token=claim))
        found = (earlier.run.result.model_copy(deep=True), earlier.run.plan) if earlier else ()
        self.run = JobRun(self.identity, parts, *found)
        self.run_partitions: Callable[[], None] = self.one_by_one
        self.table = PartitionTable(target, self.id, claim)

    def following(self, strategy: BatchJobStrategy | None = None) -> "Attempt":
        """The attempt after this one."""
        return Attempt(strategy or self.strategy, self._context, self.target, self.files, self.claim + 1, self)

    def look(self) -> None:
        hooks.pre_process(self.strategy, self.run)

    def process(self) -> JobRun:
        """As a run does: its partitions are planned where that is not done, run, and added up."""
        hooks.process(self.strategy, self.run, _Partitioning(self))
        return self.run

    def plan(self) -> "Attempt":
        """Plan the partitions and run none."""
        self.look()
        self.run_partitions = lambda: None
        self.process()
        self.run_partitions = self.one_by_one
        return self

    def execution(self, number: int) -> Execution:
        return Execution(self, number)

    def one_by_one(self) -> None:
        for state in self.states():
            self.execution(state.number).go()

    def states(self) -> list[PartitionState]:
        return self.table.read()

    def state(self, number: int) -> PartitionState:
        return self.states()[number - 1]


class _Partitioning:
    size = 2

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def require(self) -> None:
        """Nothing is needed."""

    def table(self, _job: JobRun) -> PartitionTable:
        return self._attempt.table

    def run(self, _strategy: BatchJobStrategy, job: JobRun, table: PartitionTable) -> None:
        self._attempt.run_partitions()
        job.show_partitions(table.read())
