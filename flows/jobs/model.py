"""A job as it is read: one row of the job table."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.transitions import Status
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


class Job(BaseModel):
    """A job at the moment it was read; times are UTC."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    type: str
    strategy: str
    status: Status
    created_by: str | None
    context: dict[str, Any]
    result: JobResult
    plan: dict[str, Any] | None
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

    @property
    def waits_for_prefect(self) -> bool:
        """Whether the job can go on, but nobody runs it and Prefect was not told to."""
        if self.worker is not None or self.status not in (Status.CREATED, Status.CONFIRMED, Status.PROCESSING):
            return False
        untold = self.flow_run_state is None or self.flow_run_state in ("PAUSED", *OVER)
        return self.flow_run_id is None or (self.status is not Status.CREATED and untold)

    @property
    def worker(self) -> ProcessIdentity | None:
        """The process that runs the job now, ``None`` when nobody does."""
        if self.worker_host is None or self.worker_pid is None or self.worker_started_at is None:
            return None
        return ProcessIdentity(self.worker_host, self.worker_pid, self.worker_started_at)


class JobEvent(BaseModel):
    """One step of a job's history: when, from where to where, who and why."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    at: datetime
    action: str
    from_status: Status | None
    to_status: Status
    who: str
    why: str | None
    attempt: int
    version: int
