"""One attempt at a job: its phases in order, each recorded in the job table."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from batch_jobs.flows.errors import ActionIllegal, JobMoved, JobTableOlder, PreviewForgotten
from batch_jobs.flows.jobs import store
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.flows.runs.handles import identity_of
from batch_jobs.flows.runs.memory import is_lack_of_memory, lack_of_memory, reporting_lack_of_memory
from batch_jobs.flows.secret_fields.masking import OpenedContext, original
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import driver_says, is_full
from batch_jobs.strategies.sdk.errors import (
    BatchJobError,
    PermanentError,
    StopRequested,
    Superseded,
    exits_as_errors,
    line_in,
)
from batch_jobs.strategies.sdk.forks import ending_forks
from batch_jobs.strategies.sdk.job import JobParts, JobRun
from batch_jobs.strategies.sdk.json_values import storable
from batch_jobs.strategies.sdk.partition import PartitionStatus
from batch_jobs.strategies.sdk.partitioning import Partitioning, PartitionsFailed, cuts
from batch_jobs.strategies.sdk.registry import origin_of
from batch_jobs.strategies.sdk.result import ErrorEntry, PartitionEntry

MESSAGE_LIMIT = 1_000  # characters of an error kept in the row
TRACE_LIMIT = 10_000
SHOWN_PARTITIONS = 10

Hook = Callable[[BatchJobStrategy, JobRun], None]


@dataclass(frozen=True)
class Step:
    """One hook of a strategy, ready to run.

    ``tries_again`` decides by an error of ``run`` whether the step is to be run once more: ``retries`` times at most,
    after ``delay`` seconds that double each time.
    """

    name: str
    run: Callable[[], None]
    retries: int
    delay: float
    tries_again: Callable[[Exception], bool]


#: Runs a step to its end, as a Prefect task in a flow; raises what the last try raised.
StepRunner = Callable[[Step], None]


class Outcome(StrEnum):
    """How an attempt ended that did not fail."""

    COMPLETED = "completed"
    WAITING = "waiting"
    PAUSED = "paused"
    CANCELED = "canceled"
    INTERRUPTED = "interrupted"


class Attempt:
    """Takes a claimed job from where it stands to its end, or to where it waits for a person."""

    def __init__(
        self,
        store: JobStore,
        strategy: BatchJobStrategy,
        job: Job,
        opened: OpenedContext,
        parts: JobParts,
        partitioning: Partitioning,
        run_step: StepRunner,
        why_by_other: Callable[[dict[str, Any]], str | None],
    ) -> None:
        self._store = store
        self._strategy = strategy
        self._job = job
        self._opened = opened
        self._report = parts.report
        self._checkpoints = parts.checkpoints
        self._partitioning = partitioning
        self._run_step = run_step
        self._why_by_other = why_by_other
        self.run = JobRun(identity_of(job, strategy, opened), parts, job.result.model_copy(deep=True), job.plan)

    def go(self) -> Outcome:
        """Run the phases that are left.

        Raises:
            Superseded: a later attempt has the job; the row is left alone.
            JobTableOlder: so the target says, and the row knows of none; it says failed.
            BaseException: what stopped the attempt, after the row says failed.
        """
        try:
            return self._phases()
        except StopRequested as stop:
            return self._stopped(stop)
        except Superseded as later:
            if later.token is None or self._store.status_and_claim(self._job.id)[1] != self._job.claim:
                raise
            # a later attempt writes its claim into the row before anything else, so the row has forgotten it
            self._failed(older := JobTableOlder(self._job.id), claim=later.token)
            raise older from None
        except BaseException as error:
            if self._failed(original(error)):
                raise
            return self._stopped(StopRequested(Status.CANCELED))

    def _phases(self) -> Outcome:
        if cuts(type(self._strategy)):
            self._partitioning.require()
        if self._job.status is Status.CREATED:
            self._pre_process()
        if self._job.status is Status.PRE_PROCESSED:
            if self._job.confirmed_at is None and self._waits():
                self._job = self._store.release(self._job, dry_run=True)
                return Outcome.WAITING
            self._move(Action.CONFIRM)
        if self._job.status is Status.CONFIRMED:
            self._move(Action.PROCESS)
        self._hook("process", self._process)
        self._hook("post-process", hooks.post_process)
        self._move(Action.COMPLETE)
        return Outcome.COMPLETED

    def _waits(self) -> bool:
        """Whether somebody has to confirm it first: it was asked for so, or by the two-person rule."""
        why = self._why_by_other(self.run.plan)
        if why:
            self.run.describe("confirm-by-other", "Confirmation", f"somebody else has to confirm it: {why}")
            self.run.save()
        return self._job.dry_run or why is not None

    def _pre_process(self) -> None:
        # the preview of an earlier attempt stands: a new one would count rows that are in already
        if self._job.pre_processed_at is None:
            self._hook("pre-process", self._look)
        self._move(Action.PRE_PROCESS)

    def _look(self, strategy: BatchJobStrategy, run: JobRun) -> None:
        partitions = self._partitioning.table(run).read() if cuts(type(strategy)) else []
        chunks = self._checkpoints.load().chunk_number + sum(state.chunk_number for state in partitions)
        if chunks:
            raise PreviewForgotten(run.id, chunks)
        hooks.pre_process(strategy, run)

    def _process(self, strategy: BatchJobStrategy, run: JobRun) -> None:
        hooks.process(strategy, run, self._partitioning)

    def _hook(self, name: str, hook: Hook) -> None:
        def run() -> None:
            self.run.stop_if_asked()  # canceled between two steps, or while a retry was waited for
            with self._opened.masking_errors(), exits_as_errors(), reporting_lack_of_memory():
                try:
                    hook(self._strategy, self.run)
                except Exception as error:  # Prefect cannot send what is no text in UTF-8, and the run would never end
                    error.args = tuple(storable(part) if isinstance(part, str) else part for part in error.args)
                    raise

        retries = (self._strategy.max_retries, self._strategy.retry_delay)
        self._run_step(Step(name, run, *retries, self._tries_again))

    def _tries_again(self, error: Exception) -> bool:
        """Ask the strategy whether the error may pass; if so, the next attempt begins, its reason in the history."""
        raised = cast(Exception, original(error))
        with ending_forks(), exits_as_errors():
            if isinstance(raised, PartitionsFailed):
                passes = raised.may_pass
            else:
                passes = self._strategy.should_retry(self.run, raised)
        if not passes:
            return False
        entry = self._entry(raised)
        self.run.result.errors.append(entry)
        self.run.save()
        following = self._job.attempt + 1
        try:
            self._job = self._store.note(self._job, "try_again", who=self._who, why=entry.message, attempt=following)
        except JobMoved:
            return False
        self.run.attempt = following
        return True

    @property
    def _who(self) -> str:
        return f"attempt {self._job.attempt}"

    def _move(self, action: Action) -> None:
        self._job = self._moved(action, who=self._who)

    def _moved(self, action: Action, who: str, why: str | None = None) -> Job:
        """Move the row as this attempt knows it; where somebody else moved it, stop or give way."""
        try:
            return self._store.move(self._job, action, who=who, why=why)
        except (ActionIllegal, JobMoved):
            status, claim = self._store.status_and_claim(self._job.id)
            if claim == self._job.claim and status in (Status.CANCELED, Status.PAUSED):
                raise StopRequested(str(status)) from None
            raise Superseded(self._job.id) from None

    def _stopped(self, stop: StopRequested) -> Outcome:
        self.run.save()
        if stop.reason == "superseded":
            raise Superseded(self._job.id)
        if stop.reason == Status.CANCELED:
            self._describe_unprocessed()
            self._last_hook("on_cancel", lambda: self._strategy.on_cancel(self.run))
            self.run.save()
            return Outcome.CANCELED
        return Outcome.INTERRUPTED if stop.reason == "interrupted" else Outcome.PAUSED

    def _describe_unprocessed(self) -> None:
        result = self.run.result
        if result.count is not None and result.advancement_count < result.count:
            rows = f"{result.count - result.advancement_count} of {result.count} rows were not processed"
            which = _unprocessed(result.partitions) or f"those after the first {result.advancement_count}"
            self.run.describe("unprocessed", "Not processed", f"{rows}: {which}")

    def _failed(self, error: BaseException, **values: Any) -> bool:
        """Let the row say failed and run the strategy's hook; ``False`` when the job was canceled before that.

        Args:
            error: why.
            values: more columns to set with it.
        """
        entry = self._entry(error)
        if isinstance(error, PartitionsFailed):
            self.run.result.errors += error.entries
        self.run.result.errors.append(entry)
        self.run.save()
        try:
            self._store.move(self._job, Action.FAIL, who=self._who, why=entry.message, **values)
        except BatchJobError as moved:
            if self._store.status_and_claim(self._job.id)[0] is Status.CANCELED:
                return False
            self.run.logger.warning("the job was moved while it failed: %s", moved)
        self._last_hook("on_failure", lambda: self._strategy.on_failure(self.run, error))
        return True

    def _last_hook(self, name: str, hook: Callable[[], None]) -> None:
        """Run the hook of an end; one that fails must not hide how the job ended."""
        self._report.heed()
        try:
            with ending_forks(), exits_as_errors():
                hook()
        except Exception:
            self.run.logger.exception("%s of %s raised", name, self._strategy.identifier)

    def _entry(self, error: BaseException) -> ErrorEntry:
        return masked_entry(error, self._strategy, self._opened)


def _unprocessed(partitions: list[PartitionEntry]) -> str:
    """Of which partitions rows are left, as each has gone through its first ones; empty for a job that is not cut."""
    left = [
        f"{entry.name} (after its first {entry.advanced})" if entry.advanced else entry.name
        for entry in partitions
        if entry.status != PartitionStatus.COMPLETED
    ]
    more = f" and {len(left) - SHOWN_PARTITIONS} more" if len(left) > SHOWN_PARTITIONS else ""
    return f"{', '.join(left[:SHOWN_PARTITIONS])}{more}"


def masked_entry(error: BaseException, strategy: BatchJobStrategy, opened: OpenedContext) -> ErrorEntry:
    """An error of a strategy as the row keeps it, without the context's secrets."""
    entry = describe_error(error, origin_of(type(strategy)))
    return ErrorEntry.model_validate(opened.masked(entry.model_dump()))


def describe_error(error: BaseException, file: Path) -> ErrorEntry:
    """An error as the row keeps it, its message and trace cut to a bearable length.

    An error that nobody foresaw says where in the strategy's file it came up.
    """
    message = " ".join(storable(_text_of(error)[: 4 * MESSAGE_LIMIT]).split())
    line = None if isinstance(error, BatchJobError | KeyboardInterrupt) else line_in(file, error)
    place = f" ({file.name} line {line})" if line else ""
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__, limit=-20))
    return ErrorEntry(
        message=(message or type(error).__name__)[: MESSAGE_LIMIT - len(place)] + place,
        code=type(error).__name__,
        err=storable(trace[-TRACE_LIMIT:]),
        refused=isinstance(error, PermanentError),
    )


def _text_of(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if is_lack_of_memory(error):
        return lack_of_memory()
    setting = "DATABASE_URL" if line_in(Path(store.__file__), error) else "TARGET_URL"
    if is_full(error):
        return f"the database of BATCH_JOBS_{setting} is full: {driver_says(error)}; make room and retry the job"
    if not isinstance(error, DBAPIError) or error.orig is None:
        return str(error)
    if isinstance(error, IntegrityError | DataError):
        return str(error.orig).strip()
    return f"the database of BATCH_JOBS_{setting} refused: {driver_says(error)}"
