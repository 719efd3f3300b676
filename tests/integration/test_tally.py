"""The tally of jobs says what counting them says, whoever wrote what, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from flows import database
from flows.job import Trigger
from flows.job_filter import JobFilter
from flows.job_store import JobStore
from flows.job_table import batch_job, batch_job_tally
from flows.transitions import Action, Status
from support.jobs import job_in, new_job

KIND = ("type", "status", "trigger", "created_by")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["a", "b"]),
        "status": st.sampled_from([str(status) for status in Status]),
        "trigger": st.sampled_from([str(trigger) for trigger in Trigger]),
        "created_by": st.sampled_from(["ada", "", None]),
        "deleted_at": st.sampled_from([NOW, None]),
        "heartbeat_at": st.just(NOW),
    },
)
NUMBERS = st.integers(0, 3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), NUMBERS, CHANGES),
        st.tuples(st.just("update"), NUMBERS, CHANGES),
        st.tuples(st.just("update all"), NUMBERS, CHANGES),
        st.tuples(st.just("delete"), NUMBERS, st.just({})),
    ),
    max_size=12,
)


def counted(engine: Engine) -> dict[Any, int]:
    kind = (batch_job.c.type, batch_job.c.status, batch_job.c.trigger, func.coalesce(batch_job.c.created_by, ""))
    query = select(*kind, func.count()).where(batch_job.c.deleted_at.is_(None)).group_by(*kind)
    return _by_kind(engine, query)


def tallied(engine: Engine) -> dict[Any, int]:
    return _by_kind(engine, select(*(batch_job_tally.c[name] for name in (*KIND, "jobs"))))


def _by_kind(engine: Engine, query: Any) -> dict[Any, int]:
    with engine.connect() as connection:
        return {tuple(kind): jobs for *kind, jobs in connection.execute(query) if jobs}


def row(number: int, changes: dict[str, Any]) -> dict[str, Any]:
    usual: dict[str, Any] = {"type": "a", "strategy": "s", "status": "created", "trigger": "api", "created_by": "ada"}
    fixed = {"context": {}, "result": {}, "dry_run": False, "attempt": 1, "version": 1, "created_at": NOW}
    return {**usual, **fixed, "updated_at": NOW, **changes, "id": f"batch_{number}"}


def write(connection: Connection, what: str, number: int, changes: dict[str, Any]) -> None:
    one = batch_job.c.id == f"batch_{number}"
    if what == "insert":
        if connection.scalar(select(func.count()).where(one)) == 0:
            connection.execute(insert(batch_job).values(row(number, changes)))
    elif what == "delete":
        connection.execute(delete(batch_job).where(one))
    elif changes:
        connection.execute(update(batch_job).values(changes).where(one if what == "update" else batch_job.c.id != ""))


def test_whatever_is_written_the_tally_is_the_count(store: JobStore):
    engine = store._engine

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(committed=STEPS, rolled_back=STEPS)
    def follow(committed: list[Any], rolled_back: list[Any]) -> None:
        with engine.begin() as connection:
            connection.execute(delete(batch_job))
            for step in committed:
                write(connection, *step)
        with engine.connect() as connection:
            for step in rolled_back:
                write(connection, *step)
            connection.rollback()
        assert tallied(engine) == counted(engine)

    follow()


@pytest.mark.parametrize("wanted", [JobFilter(created_by=""), JobFilter(creators=["", "ada"])], ids=str)
def test_a_job_of_nobody_is_not_one_of_somebody_without_a_name(store: JobStore, wanted: JobFilter):
    store.insert(new_job(created_by=None), who="test")
    assert store.count(wanted) == 0
    assert store.count(JobFilter()) == 1


def test_jobs_moved_by_many_at_once_are_all_tallied(store: JobStore):
    def live(number: int) -> None:
        job = store.insert(new_job(created_by="ada"), who="test")
        assert job is not None
        job = store.move(job, Action.FAIL if number % 2 else Action.CANCEL, who="test")
        if number % 2:
            store.move(job, Action.RETRY, who="test")

    with ThreadPoolExecutor(8) as people:
        list(people.map(live, range(80)))
    assert store.count_by_status() == {("count", Status.CANCELED): 40, ("count", Status.CREATED): 40}
    assert tallied(store._engine) == counted(store._engine)


def test_jobs_from_before_the_tally_are_in_it_and_it_can_be_taken_away(store: JobStore):
    job_in(store, Status.FAILED)
    store.insert(new_job(created_by="ada"), who="test")
    before = counted(store._engine)
    _migrate(store._engine, command.downgrade, "0003")
    job_in(store, Status.CANCELED)
    _migrate(store._engine, command.upgrade, "head")
    assert tallied(store._engine) == counted(store._engine)
    assert len(tallied(store._engine)) == len(before) + 1


def _migrate(engine: Engine, run: Any, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    config.attributes["version_table"] = database.VERSION_TABLE
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        run(config, revision)
