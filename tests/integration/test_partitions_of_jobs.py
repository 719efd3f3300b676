"""A job's own number of partitions, and the list of them in its result, on both databases."""

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

from batch_jobs.flows import database
from batch_jobs.flows.errors import IdempotencyKeyTaken
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.prefect.publishing import event_of
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk.errors import ContextRefused
from support.jobs import job_in, partition, with_partitions

CONTEXT = {"table": "goods"}


@pytest.fixture(params=["sqlite", "postgres"])
def workspace(request: pytest.FixtureRequest, home: Path) -> Workspace:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    return Workspace(Settings(home=home, database_url=url))


@pytest.mark.parametrize("number", [None, 1, 1_000])
def test_a_job_keeps_the_number_that_it_was_made_with(workspace: Workspace, number: int | None):
    made = workspace.service.record("table-export", CONTEXT, partitions=number)

    assert made.partitions == number
    assert workspace.service.get(made.id) == made


@pytest.mark.parametrize("number", [0, -1, 1_001, 10**30, 2.0, "3", True])
def test_another_number_is_refused_in_one_line_and_makes_no_job(workspace: Workspace, number: Any):
    with pytest.raises(ContextRefused) as caught:
        workspace.service.record("table-export", CONTEXT, partitions=number)

    assert str(caught.value) == f"partitions must be a whole number from 1 to 1,000, not {number!r}"
    assert list(workspace.service.list()) == []


def test_two_jobs_of_one_idempotency_key_have_the_same_number(workspace: Workspace):
    first = workspace.service.record("table-export", CONTEXT, partitions=2, idempotency_key="k")

    assert workspace.service.record("table-export", CONTEXT, partitions=2, idempotency_key="k") == first
    with pytest.raises(IdempotencyKeyTaken, match="number of partitions"):
        workspace.service.record("table-export", CONTEXT, partitions=3, idempotency_key="k")


def test_the_rows_of_the_release_before_have_no_number(target: Engine):
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    config.attributes["version_table"] = database.VERSION_TABLE
    with target.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
    with target.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO batch_job (id, type, strategy, status, context, result, dry_run, trigger, attempt,"
                " version, created_at, updated_at)"
                " VALUES ('batch_old', 'count', 's', 'created', '{}', '{}', FALSE, 'cli', 1, 1,"
                " '2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000')"
            )
        )

    database.upgrade(target)

    job = JobStore(target).get("batch_old")
    assert (job.partitions, job.result.partitions) == (None, [])


def test_partitions_are_kept_with_the_result(store: JobStore):
    entries = [partition(1, "running", rows=10, advanced=4, attempt=1, where="host:7"), partition(2)]

    job = with_partitions(store, job_in(store, Status.PROCESSING), entries)

    assert job.result.partitions == entries
    assert store.of_ids([job.id, "batch_none"]) == [job]


def test_a_list_is_read_without_them_and_with_all_else(store: JobStore):
    job = with_partitions(store, job_in(store, Status.PROCESSING), [partition(1)], count=3)

    (listed,) = store.newest(JobFilter(), 10)

    assert listed == job.without_partitions()
    assert (listed.result.partitions, listed.result.count) == ([], 3)


def test_an_event_carries_the_job_without_a_thousand_partitions(store: JobStore):
    many = [partition(number, "completed", rows=10, advanced=10, where="host:7") for number in range(1_000)]
    job = with_partitions(store, job_in(store, Status.PROCESSING), many, advancement_count=10_000)

    carried = event_of(job, store.events(job.id)[-1]).payload["job"]

    assert "partitions" not in carried["result"]
    assert carried["result"]["advancement_count"] == 10_000


def test_a_save_that_comes_too_late_leaves_the_partitions_of_the_next_attempt(store: JobStore):
    job = with_partitions(store, job_in(store, Status.PROCESSING), [partition(1, "running")])
    taken = store.claim(job, ProcessIdentity.current(), None)

    assert not store.save_result(job.id, job.claim or 0, job.result.model_copy(update={"partitions": []}), {})
    assert store.get(taken.id).result.partitions == [partition(1, "running")]
