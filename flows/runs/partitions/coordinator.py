"""Has the partitions of a job worked on until all have ended, from the process that has the job.

What became of a partition is what the target says. A task runner is only where they run: it may run a task twice, lose
one, or say of one for ever that it runs.
"""

import time
from typing import Any

from batch_jobs.flows.jobs.stillness import Stillness
from batch_jobs.flows.runs.partitions.pool import Pool
from batch_jobs.flows.runs.partitions.runners import has_runner_each, require_runner, runner_maker
from batch_jobs.flows.settings import Settings
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.connecting import RUN_SECONDS
from batch_jobs.strategies.sdk.database import driver_says
from batch_jobs.strategies.sdk.errors import StopRequested
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.partition import OVER, PartitionState, PartitionStatus, plain_entry
from batch_jobs.strategies.sdk.partition_checkpoint import EXECUTIONS
from batch_jobs.strategies.sdk.partition_table import PartitionTable
from batch_jobs.strategies.sdk.transient import is_transient

#: How often the partitions are looked at while none ends.
LOOK_SECONDS = 0.5
#: How long a runner that takes no task is asked again.
RUNNER_SECONDS = 60.0


class PrefectPartitioning:
    """Runs a job's partitions as Prefect tasks.

    Args:
        settings: which runner, and how long silence may last.
        job_id: the job.
        claim: of this attempt.
        size: how many partitions at a time.
    """

    def __init__(self, settings: Settings, job_id: str, claim: int, size: int) -> None:
        self._settings = settings
        self._job_id = job_id
        self._claim = claim
        self.size = size

    def require(self) -> None:
        """Make sure that more than one partition at a time can be run.

        Raises:
            RunnerIncomplete: names everything that is missing.
        """
        if self.size > 1:
            require_runner(self._settings)

    def table(self, job: JobRun) -> PartitionTable:
        """The job's partitions in the target."""
        return PartitionTable(job.target, self._job_id, self._claim, job.stop_if_asked)

    def run(self, strategy: BatchJobStrategy, job: JobRun, table: PartitionTable) -> None:
        """Run what is not done, until each has ended or stopped.

        Raises:
            StopRequested: the job is to stop; its partitions have stopped.
        """
        make_runner = runner_maker(self._settings, self.size)
        with Pool(make_runner, self.size, has_runner_each(self._settings)) as pool:
            _Round(job, table, pool, self._settings.heartbeat_timeout, self._claim).go()


class _Patience:
    """Bears errors that follow each other for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def bear(self, error: Exception) -> None:
        """Bear an error, or raise it."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > self._seconds:
            raise error

    def begin_anew(self) -> None:
        """What failed has not failed this time."""
        self._since = None


class _Round:
    """The partitions of one attempt, from the first that is begun to the last that ends."""

    def __init__(self, job: JobRun, table: PartitionTable, pool: Pool, timeout: float, claim: int) -> None:
        self._job, self._table, self._pool = job, table, pool
        self._timeout = timeout
        self._claim = claim
        self._stillness = Stillness()
        self._executions: dict[int, int] = {}
        self._untaken: dict[int, int] = {}
        self._stop: StopRequested | None = None
        self._with_runner, self._with_target = _Patience(RUNNER_SECONDS), _Patience(RUN_SECONDS)
        #: The tasks that have ended and were not looked into yet.
        self._ended: dict[int, BaseException | None] = {}

    def go(self) -> None:
        """Look, begin what is to be begun, wait."""
        is_over = False
        while not is_over:
            try:
                is_over = self._look()
                self._with_target.begin_anew()
            except Exception as error:
                self._bear_outage(error)
        if self._stop is not None:
            raise self._stop

    def _look(self) -> bool:
        """Begin what there is room for, and wait a moment; returns whether all has ended or stopped."""
        states = self._table.read()
        self._job.show_partitions(states)
        self._heed_stop()
        self._leave_lost(states)
        waiting = [one for one in states if one.status not in OVER and one.number not in self._pool.numbers]
        if self._stop is None:
            self._begin(waiting)
        if not self._pool.numbers and (self._stop is not None or not waiting):
            return True
        self._ended |= self._pool.ended(LOOK_SECONDS)
        for number in list(self._ended):
            self._note_end(number, self._ended[number])
            del self._ended[number]
        return False

    def _bear_outage(self, error: Exception) -> None:
        """Bear for as long as runs do that a database is away: the partitions do too, and have not been looked at."""
        if not is_transient(error):
            raise error
        self._with_target.bear(error)
        self._job.logger.warning("the partitions could not be looked at: %s; they go on", driver_says(error))
        self._stillness.forget()
        time.sleep(LOOK_SECONDS)

    def _heed_stop(self) -> None:
        """Have all stop where the job is to; the process ends when they have."""
        if self._stop is None:
            try:
                self._job.stop_if_asked()
            except StopRequested as stop:
                self._table.ask_to_stop(stop.reason)
                self._stop = stop

    def _begin(self, waiting: list[PartitionState]) -> None:
        for state in waiting:
            if not self._pool.has_room:
                return
            self._executions[state.number] = state.execution
            try:
                self._pool.begin(state.number, self._parameters(state))
            except Exception as error:  # whatever a runner raises whose workers or scheduler are away
                self._with_runner.bear(error)
                self._job.logger.warning("the task runner takes no partition: %s; it is asked again", error)
                return
            self._with_runner.begin_anew()

    def _parameters(self, state: PartitionState) -> dict[str, Any]:
        return {
            "job_id": self._job.id,
            "claim": self._claim,
            "number": state.number,
            "name": state.name,
            "shared": self._job.shared,
        }

    def _leave_lost(self, states: list[PartitionState]) -> None:
        """Have those begun again whose process gives no sign of life, though its task has not ended."""
        running = [one for one in states if one.status is PartitionStatus.RUNNING and one.number in self._pool.numbers]
        marks = {str(one.number): (one.execution, one.heartbeat, one.chunk_number) for one in running}
        still = self._stillness.look(marks, self._timeout)
        for state in running:
            if still[str(state.number)] > self._timeout:
                self._job.logger.warning(
                    "%s gave no sign of life for %.0f s in %s; it is begun again",
                    state.name,
                    self._timeout,
                    state.where,
                )
                self._pool.leave(state.number)

    def _note_end(self, number: int, error: BaseException | None) -> None:
        """Begin no partition for ever whose task ends before anybody has taken it."""
        if error is None:
            return
        state = next(one for one in self._table.read() if one.number == number)
        if state.status in OVER or state.execution > self._executions[number]:
            self._job.logger.warning("the process of %s is lost: %s", state.name, " ".join(str(error).split()))
            return
        self._untaken[number] = self._untaken.get(number, 0) + 1
        if self._untaken[number] >= EXECUTIONS:
            self._table.fail(number, plain_entry(error))
