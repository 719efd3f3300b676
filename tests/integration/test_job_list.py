"""Filters and pages of the job list, on both databases."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, update

from batch_jobs.flows.jobs.model import Trigger
from batch_jobs.flows.jobs.queries import JobFilter, Page, TimeRange
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.table import batch_job
from batch_jobs.flows.jobs.transitions import Status
from support.jobs import job_in, new_job

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def ids(store: JobStore) -> list[str]:
    """Six jobs, an hour between each two, of two people and two types; the third is completed."""
    jobs = [
        job_in(store, Status.COMPLETED)
        if number == 2
        else store.insert(
            new_job(created_by="ada" if number % 2 else "ben", type="odd" if number % 2 else "even"), who="test"
        )
        for number in range(6)
    ]
    with store._engine.begin() as connection:
        for number, job in enumerate(jobs):
            assert job
            at = START + timedelta(hours=number)
            connection.execute(update(batch_job).where(batch_job.c.id == job.id).values(created_at=at))
    return [job.id for job in jobs if job]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (JobFilter(), [5, 4, 3, 2, 1, 0]),
        (JobFilter(created_by="ada"), [5, 3, 1]),
        (JobFilter(creators=["ada", "ben"]), [5, 4, 3, 1, 0]),
        (JobFilter(types=["even"]), [4, 0]),
        (JobFilter(types=[]), []),
        (JobFilter(statuses=[Status.COMPLETED, Status.FAILED]), [2]),
        (JobFilter(trigger=Trigger.PYTHON, types=["odd", "even"]), [5, 4, 3, 1, 0]),
        (JobFilter(trigger=Trigger.API), []),
        (JobFilter(times={"completed_at": TimeRange(empty=True)}), [5, 4, 3, 1, 0]),
        (JobFilter(times={"completed_at": TimeRange(empty=False)}), [2]),
        (JobFilter(times={"created_at": TimeRange(gt=START, lte=START + timedelta(hours=3))}), [3, 2, 1]),
        (JobFilter(times={"created_at": TimeRange(gte=START, lt=START + timedelta(hours=1))}), [0]),
    ],
    ids=str,
)
def test_each_filter_lets_its_jobs_through_and_counts_them(
    store: JobStore, ids: list[str], wanted: JobFilter, found: list[int]
):
    assert [ids.index(job.id) for job in store.page(wanted, Page(10))] == found
    assert store.count(wanted) == len(found)


def test_a_list_goes_by_time_where_ids_do_not(store: JobStore, ids: list[str]):
    with store._engine.begin() as connection:
        late = START + timedelta(days=9)
        connection.execute(update(batch_job).where(batch_job.c.id == ids[0]).values(created_at=late))

    assert store.page(JobFilter(), Page(1))[0].id == ids[0]
    assert store.page(JobFilter(), Page(1, descending=False))[0].id == ids[1]


def test_keyset_pages_give_each_job_once_though_jobs_are_added_and_times_are_equal(store: JobStore, ids: list[str]):
    with store._engine.begin() as connection:
        connection.execute(update(batch_job).where(batch_job.c.id.in_(ids[1:4])).values(created_at=START))
    seen: list[str] = []
    after = None
    while page := store.page(JobFilter(), Page(2, after=after)):
        seen += [job.id for job in page]
        after = (page[-1].created_at, page[-1].id)
        store.insert(new_job(), who="test")
    assert sorted(seen) == sorted(ids)


def test_an_offset_leaves_jobs_out(store: JobStore, ids: list[str]):
    assert [ids.index(job.id) for job in store.page(JobFilter(), Page(2, offset=1))] == [4, 3]


@pytest.fixture
def statements(store: JobStore) -> list[tuple[str, Any]]:
    """What is sent to the database, and with which values."""
    sent: list[tuple[str, Any]] = []
    event.listen(store._engine, "before_cursor_execute", lambda *given: sent.append((given[2], given[3])))
    return sent


LISTS = (
    JobFilter(),
    JobFilter(created_by="ada"),
    JobFilter(types=["even"]),
    JobFilter(statuses=[Status.CREATED]),
)


@pytest.mark.parametrize("wanted", LISTS, ids=str)
def test_s49_a_page_walks_along_an_index_and_its_count_looks_at_no_job(
    store: JobStore, ids: list[str], statements: list[tuple[str, Any]], wanted: JobFilter
):
    """Nothing is sorted, nothing else is read, though no statistics tell the database how many jobs there are."""
    store.page(wanted, Page(2))
    store.page(wanted, Page(2, after=(START + timedelta(hours=3), ids[3])))
    store.count(wanted)
    first, second, count = [sent for sent in statements if sent[0] != "BEGIN"]
    for sent in (first, second):
        plan = explained(store, *sent)
        assert "ix_batch_job_live_" in plan
        assert not re.search("sort|temp b-tree|seq scan|bitmap", plan, re.IGNORECASE), plan
    assert "FROM batch_job_tally" in count[0]


def explained(store: JobStore, statement: str, values: Any) -> str:
    how = "EXPLAIN QUERY PLAN " if store._engine.dialect.name == "sqlite" else "EXPLAIN "
    with store._engine.connect() as connection:
        return "\n".join(str(line) for line in connection.exec_driver_sql(how + statement, values))
