"""From a Prefect state to a job's status, and what is done about it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.client.schemas.objects import StateType

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import ENDED, TRANSITIONS, Action, Status
from batch_jobs.flows.prefect.client import RunState
from batch_jobs.flows.prefect.mirror import (
    DIED_UNBEGUN,
    STATUS_OF_TYPE,
    died_unbegun,
    following_action,
    is_lost,
    status_of,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: Every name that Prefect 3.9 gives to states, by type, and the ones of our own.
NAMES = {
    "SCHEDULED": ["Scheduled", "Late", "AwaitingRetry", "AwaitingConcurrencySlot", "Resuming", "Rescheduled"],
    "PENDING": ["Pending", "NotReady", "Submitting", "InfrastructurePending"],
    "RUNNING": ["Running", "Retrying"],
    "PAUSED": ["Paused", "Suspended"],
    "COMPLETED": ["Completed", "Cached", "RolledBack", "Skipped"],
    "CANCELLING": ["Cancelling"],
    "CANCELLED": ["Cancelled"],
    "FAILED": ["Failed", "TimedOut"],
    "CRASHED": ["Crashed", DIED_UNBEGUN],
}
MEANING = {
    "SCHEDULED": Status.CREATED, "PENDING": Status.CREATED, "RUNNING": Status.PROCESSING, "PAUSED": Status.PAUSED,
    "COMPLETED": Status.COMPLETED, "CANCELLING": Status.CANCELED, "CANCELLED": Status.CANCELED,
    "FAILED": Status.FAILED, "CRASHED": Status.FAILED,
}  # fmt: skip


def job_in(status: Status, *, worker: bool = True, heartbeat_at: datetime | None = None) -> Job:
    blank: dict[str, Any] = dict.fromkeys(Job.model_fields)
    known = {
        "id": "batch_1", "type": "t", "strategy": "s", "context": {}, "result": {}, "dry_run": False,
        "trigger": "api", "attempt": 1, "version": 3, "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    runs_in = {"worker_host": "h", "worker_pid": 1, "worker_started_at": 1.0} if worker else {}
    return Job(**{**blank, **known, **runs_in, "status": status, "heartbeat_at": heartbeat_at})


def test_S35_every_type_that_prefect_has_is_known():
    assert set(STATUS_OF_TYPE) == {kind.value for kind in StateType} == set(NAMES) == set(MEANING)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_S35_every_state_stands_for_one_status(kind: str, name: str):
    assert status_of(kind, name) is MEANING[kind]


def test_the_runs_that_end_while_their_job_waits_for_a_person_stand_for_that():
    assert status_of("COMPLETED", "AwaitingConfirmation") is Status.PRE_PROCESSED
    assert status_of("COMPLETED", "Paused") is Status.PAUSED


@pytest.mark.parametrize("kind", list(NAMES))
@pytest.mark.parametrize("status", list(Status))
def test_a_job_is_moved_only_where_the_table_of_transitions_allows_it_and_never_once_it_has_ended(
    status: Status, kind: str
):
    for worker in (True, False):
        action = following_action(job_in(status, worker=worker), RunState(kind, NAMES[kind][0]))
        if status in ENDED:
            assert action is None
        if action is not None:
            assert action in TRANSITIONS[status]


@pytest.mark.parametrize("status", [status for status in Status if status not in ENDED])
def test_an_open_job_follows_a_run_that_ended(status: Status):
    assert following_action(job_in(status), RunState("CANCELLED", "Cancelled")) is Action.CANCEL
    assert following_action(job_in(status), RunState("CRASHED", "Crashed")) is Action.FAIL
    assert following_action(job_in(status), RunState("FAILED", "TimedOut")) is Action.FAIL


def test_a_run_set_completed_completes_a_job_that_processed_and_fails_one_that_did_not():
    completed = RunState("COMPLETED", "Completed")
    assert following_action(job_in(Status.PROCESSING), completed) is Action.COMPLETE
    assert following_action(job_in(Status.CREATED), completed) is Action.FAIL


def test_a_suspended_run_pauses_the_job_it_runs_and_not_one_that_was_just_resumed():
    suspended = RunState("PAUSED", "Suspended")
    assert following_action(job_in(Status.PROCESSING), suspended) is Action.PAUSE
    assert following_action(job_in(Status.PROCESSING, worker=False), suspended) is None


def test_a_run_whose_process_died_before_it_took_up_its_job_may_be_replaced_and_no_other():
    died = RunState("CRASHED", DIED_UNBEGUN)
    assert died_unbegun(job_in(Status.CREATED, worker=False), died)
    assert died_unbegun(job_in(Status.CONFIRMED, worker=False), died)
    assert not died_unbegun(job_in(Status.CREATED), died)
    assert not died_unbegun(job_in(Status.PRE_PROCESSED, worker=False), died)


@pytest.mark.parametrize("message", ["", "by hand", "Process exited with status code: -9.", DIED_UNBEGUN])
def test_a_run_that_a_person_sets_crashed_is_not_replaced_whatever_they_say(message: str):
    assert not died_unbegun(job_in(Status.CREATED, worker=False), RunState("CRASHED", "Crashed", message))
    assert not died_unbegun(job_in(Status.CREATED, worker=False), RunState("FAILED", "Failed", message))


def test_a_run_is_lost_when_neither_it_nor_its_state_gave_a_sign_of_life():
    timeout, long_ago = timedelta(seconds=60), NOW - timedelta(seconds=90)
    job = job_in(Status.PROCESSING, heartbeat_at=long_ago)
    assert is_lost(job, RunState("RUNNING", "Running", since=long_ago), timeout, NOW)
    assert not is_lost(job, RunState("RUNNING", "Running", since=NOW), timeout, NOW)
    assert not is_lost(
        job_in(Status.PROCESSING, heartbeat_at=NOW), RunState("RUNNING", "R", since=long_ago), timeout, NOW
    )
    assert is_lost(job_in(Status.CREATED), RunState("RUNNING", "Running", since=long_ago), timeout, NOW)
    assert not is_lost(job, RunState("PENDING", "Pending", since=long_ago), timeout, NOW)
    assert not is_lost(job, RunState("PAUSED", "Suspended", since=long_ago), timeout, NOW)
