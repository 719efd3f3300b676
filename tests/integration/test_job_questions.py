"""What is asked of a job that was read and what its row is found by are the same."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, select, update

from batch_jobs.flows.jobs import queries
from batch_jobs.flows.jobs.model import OPEN_RUN, OVER, Job
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.store import JobStore, owner
from batch_jobs.flows.jobs.table import batch_job, has_not_ended
from batch_jobs.flows.jobs.transitions import Status
from support.jobs import new_job

AT = datetime(2026, 3, 1, tzinfo=UTC)
SOMEBODY = ProcessIdentity("elsewhere", 7, 1.0)
#: The same question of a row, in SQL, and of the job that was read.
QUESTIONS: dict[str, tuple[ColumnElement[bool], Callable[[Job], bool]]] = {
    "has not ended": (has_not_ended, lambda job: not job.has_ended),
    "has a worker": (queries.has_worker, lambda job: job.worker is not None),
    "may go on": (queries.may_go_on, lambda job: job.may_go_on),
    "waits for Prefect": (queries.waits_for_prefect, lambda job: job.waits_for_prefect),
    "awaits confirmation": (queries.awaits_confirmation, lambda job: job.awaits_confirmation),
    "waits for its turn": (queries.waits_for_its_turn, lambda job: job.waits_for_its_turn),
}
#: No Prefect run, and one in each state that it can be in, noted or not.
RUNS = [(None, None), ("run", None), *(("run", state) for state in (*OPEN_RUN, *OVER))]


@pytest.fixture
def job(store: JobStore) -> Job:
    made = store.insert(new_job(), who="test")
    assert made is not None
    return made


def changed(store: JobStore, job: Job, **values: Any) -> Job:
    with store._engine.begin() as connection:
        connection.execute(update(batch_job).where(batch_job.c.id == job.id).values(values))
    return store.get(job.id)


def agree(store: JobStore, job: Job) -> bool:
    asked = [sql.label(str(number)) for number, (sql, _) in enumerate(QUESTIONS.values())]
    with store._engine.connect() as connection:
        answers = connection.execute(select(*asked).where(batch_job.c.id == job.id)).one()
    by_sql = dict(zip(QUESTIONS, map(bool, answers), strict=True))
    by_python = {name: python(job) for name, (_, python) in QUESTIONS.items()}
    assert by_sql == by_python, job
    return True


def test_python_and_sql_agree_in_every_status_with_every_run_worker_and_confirmation(store: JobStore, job: Job):
    lives = itertools.product(Status, RUNS, (None, SOMEBODY), (False, True), (None, AT))
    for status, (run, state), worker, dry_run, confirmed_at in lives:
        values = {"status": status, "flow_run_id": run, "flow_run_state": state, **owner(worker)}
        assert agree(store, changed(store, job, **values, dry_run=dry_run, confirmed_at=confirmed_at))


def test_python_and_sql_agree_on_any_job(store: JobStore, job: Job):
    keys = st.sampled_from([None, "key"])
    columns = {
        "status": st.sampled_from(Status),
        "flow_run_id": keys,
        "flow_run_state": st.sampled_from([None, *OPEN_RUN, *OVER]),
        "dry_run": st.booleans(),
        "confirmed_at": st.sampled_from([None, AT]),
        "queue_key": keys,
        "active_key": keys,
    }

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(values=st.fixed_dictionaries(columns), worker=st.sampled_from([None, SOMEBODY]))
    def on(values: dict[str, Any], worker: ProcessIdentity | None) -> None:
        assert agree(store, changed(store, job, **values, **owner(worker)))

    on()


@pytest.mark.parametrize(
    ("run", "state", "status", "waits"),
    [
        (None, None, Status.CREATED, True),
        ("run", "SCHEDULED", Status.CREATED, False),
        ("run", "CRASHED", Status.CREATED, False),  # the mirror moves it after its run
        (None, None, Status.CONFIRMED, True),
        ("run", "PAUSED", Status.CONFIRMED, True),
        ("run", "SCHEDULED", Status.CONFIRMED, False),
        ("run", "PAUSED", Status.PROCESSING, True),
        ("run", "COMPLETED", Status.PROCESSING, True),
        ("run", None, Status.PROCESSING, True),  # nobody knows of its run: to ask Prefect does no harm
        ("run", "PAUSED", Status.PAUSED, False),
        (None, None, Status.FAILED, False),
    ],
)
def test_which_jobs_wait_for_prefect(
    store: JobStore, job: Job, run: str | None, state: str | None, status: Status, waits: bool
):
    now = changed(store, job, status=status, flow_run_id=run, flow_run_state=state)
    assert now.waits_for_prefect is waits
    assert [found.id for found in store.open_jobs.waiting_for_prefect()] == ([job.id] if waits else [])


def test_a_worker_is_silent_once_it_gave_no_sign_of_life_for_the_timeout(store: JobStore, job: Job):
    minute, now = timedelta(minutes=1), datetime.now(UTC)
    assert not changed(store, job, **owner(SOMEBODY), heartbeat_at=now).is_silent(minute)
    assert changed(store, job, heartbeat_at=now - 2 * minute).is_silent(minute)
    assert not changed(store, job, **owner(None)).is_silent(minute)
