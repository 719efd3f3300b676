"""A row that was changed by hand is reported as that, and breaks nothing but itself."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from batch_jobs.flows.errors import JobUnreadable
from batch_jobs.flows.jobs.queries import JobFilter, Page
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import Status
from support.jobs import job_in

#: By the column: what somebody wrote, and a word of what is said of it.
CHANGES = {
    "status": ("'done'", "'done'"),
    "context": ("'[1]'", "dict"),
    "result": ('\'{"count": "many"}\'', "result"),
    "plan": ("'\"none\"'", "dict"),
    "trigger": ("'cron'", "'cron'"),
}
#: SQLite lets anything in.
CHANGES_OF_SQLITE = {
    "context": ("'{broken'", "context"),
    "result": ("'x'", "result"),
    "created_at": ("'yesterday'", "created_at"),
    "attempt": ("'second'", "attempt"),
}


def change(target: Engine, job_id: str, column: str, value: str) -> None:
    with target.begin() as connection:
        connection.exec_driver_sql(f"UPDATE batch_job SET {column} = {value} WHERE id = '{job_id}'")


def assert_reported(store: JobStore, target: Engine, changes: dict[str, tuple[str, str]]) -> None:
    for column, (value, word) in changes.items():
        good, bad = job_in(store, Status.PROCESSING), job_in(store, Status.PROCESSING)
        change(target, bad.id, column, value)
        with pytest.raises(JobUnreadable) as caught:
            store.get(bad.id)
        assert str(caught.value).startswith(
            f"{bad.id} cannot be read, its row in the table batch_job was changed by hand: "
        )
        assert column in str(caught.value)
        assert word in str(caught.value)
        assert "SELECT" not in str(caught.value)
        listed = {job.id: job for job in store.newest(JobFilter(), limit=100)}
        assert listed[good.id] == good
        assert listed[bad.id].result.errors[-1].message == str(caught.value)
        assert {job.id for job in store.page(JobFilter(ids=[bad.id, good.id]), Page(10))} == {good.id, bad.id}


def test_a_changed_row_is_reported_and_the_list_has_all_others(store: JobStore, target: Engine):
    assert_reported(store, target, CHANGES)


def test_so_is_one_in_which_sqlite_holds_what_no_column_of_its_kind_may(store: JobStore, target: Engine):
    if target.dialect.name != "sqlite":
        pytest.skip("PostgreSQL refuses it")
    assert_reported(store, target, CHANGES_OF_SQLITE)


def test_reconciling_leaves_a_changed_row_alone_and_sees_all_others(store: JobStore, target: Engine):
    good, bad = job_in(store, Status.PRE_PROCESSED), job_in(store, Status.PRE_PROCESSED)
    change(target, bad.id, "context", "'[1]'")
    with target.begin() as connection:
        connection.execute(text("UPDATE batch_job SET dry_run = TRUE"))
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert [job.id for job in store.open_jobs.unconfirmed_since(later)] == [good.id]


def test_a_run_whose_status_was_changed_by_hand_is_told_so_at_its_next_chunk(store: JobStore, target: Engine):
    job = job_in(store, Status.PROCESSING)
    change(target, job.id, "status", "'done'")
    with pytest.raises(JobUnreadable, match="status"):
        store.status_and_claim(job.id)
