"""A job as it is read: one row of the job table."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from batch_jobs.flows.jobs.plan import shown
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.transitions import ENDED, RUNNABLE, STOPPED, Status
from batch_jobs.strategies.sdk.result import JobResult

#: The types of a Prefect state in which a run has ended.
OVER = ("COMPLETED", "CANCELLED", "FAILED", "CRASHED")
#: Those in which it has not.
OPEN_RUN = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")


class Trigger(StrEnum):
    """What made a job."""

    API = "api"
    CLI = "cli"
    PYTHON = "python"
    PREFECT_UI = "prefect-ui"
    SCHEDULE = "schedule"


class Row(BaseModel):
    """A row of one of the tables, as it was read."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Job(Row):
    """A job at the moment it was read; times are UTC."""

    id: str
    type: str
    strategy: str
    status: Status
    created_by: str | None
    context: dict[str, Any]
    result: JobResult
    plan: dict[str, Any] | None
    tables: list[str] | None = None
    dry_run: bool
    trigger: Trigger
    attempt: int
    idempotency_key: str | None
    start_at: datetime | None
    queue_key: str | None
    active_key: str | None
    flow_run_id: str | None
    flow_run_state: str | None
    flow_run_state_name: str | None
    heartbeat_at: datetime | None
    worker_host: str | None
    worker_pid: int | None
    worker_started_at: float | None
    claim: int | None
    version: int
    created_at: datetime
    pre_processed_at: datetime | None
    confirmed_at: datetime | None
    processing_at: datetime | None
    paused_at: datetime | None
    completed_at: datetime | None
    canceled_at: datetime | None
    failed_at: datetime | None
    updated_at: datetime
    deleted_at: datetime | None
    traceparent: str | None = None
    partitions: int | None = None
    belongs_to: str | None = None

    @property
    def worker(self) -> ProcessIdentity | None:
        """The process that runs the job now, ``None`` when nobody does."""
        if self.worker_host is None or self.worker_pid is None or self.worker_started_at is None:
            return None
        return ProcessIdentity(self.worker_host, self.worker_pid, self.worker_started_at)

    # What is asked of a job, here and nowhere else. ``queries`` has some of it as SQL, a test holds both together.

    @property
    def has_ended(self) -> bool:
        """Whether the job is completed, canceled or failed."""
        return self.status in ENDED

    @property
    def has_stopped(self) -> bool:
        """Whether it has ended or is paused: nobody works on it."""
        return self.status in STOPPED

    @property
    def awaits_confirmation(self) -> bool:
        """Whether it has shown its plan and waits for a person to confirm it."""
        previewed = self.status is Status.PRE_PROCESSED and self.dry_run
        return previewed and self.confirmed_at is None and self.worker is None

    @property
    def needs_a_person(self) -> bool:
        """Whether nothing happens to it until a person does something."""
        return self.has_stopped or self.awaits_confirmation

    @property
    def may_go_on(self) -> bool:
        """Whether it has something to do and no process does it."""
        return self.status in RUNNABLE and self.worker is None

    @property
    def waits_for_prefect(self) -> bool:
        """Whether it may go on, but no Prefect run is on its way to do so: it is still to be handed over.

        A new job has no run yet. One that was confirmed or resumed may have one that is suspended or over, which goes
        on only when Prefect is asked.
        """
        if not self.may_go_on or self.flow_run_id is None:
            return self.may_go_on
        return self.status is not Status.CREATED and self.flow_run_state in (None, "PAUSED", *OVER)

    @property
    def waits_for_its_turn(self) -> bool:
        """Whether it queues behind jobs of its key and was not given its turn yet."""
        return self.queue_key is not None and self.active_key is None

    def without_partitions(self) -> "Job":
        """The job for lists and messages, whose size a thousand partitions must not multiply."""
        if not self.result.partitions:
            return self
        return self.model_copy(update={"result": self.result.model_copy(update={"partitions": []})})

    @property
    def shown_plan(self) -> dict[str, Any]:
        """What its first phase found, for people."""
        return shown(self.plan)

    @property
    def has_dead_worker(self) -> bool:
        """Whether the process that runs it is known to be gone; of one on another machine nobody knows."""
        return self.worker is not None and self.worker.is_known_dead()

    def is_silent(self, timeout: timedelta) -> bool:
        """Whether the process that runs it gave no sign of life for longer than ``timeout``."""
        return self.worker is not None and datetime.now(UTC) - (self.heartbeat_at or self.updated_at) > timeout


#: Which of some jobs somebody may look at, by their ids.
Visible = Callable[[Sequence[str]], Mapping[str, Job]]


class JobEvent(Row):
    """One step of a job's history: when, from where to where, who and why."""

    id: int
    at: datetime
    action: str
    from_status: Status | None
    to_status: Status
    who: str
    why: str | None
    attempt: int
    version: int
