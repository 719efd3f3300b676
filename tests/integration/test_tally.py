"""The tally of jobs says what counting them says, whoever wrote what, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update

from batch_jobs.flows import database
from batch_jobs.flows.jobs.model import Trigger
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.table import batch_job, batch_job_tally
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.strategies.sdk.database import make_engine
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
    kind = [batch_job.c[name] for name in KIND]
    query = select(*kind, func.count()).where(batch_job.c.deleted_at.is_(None)).group_by(*kind)
    return _by_kind(engine, query)


def tallied(engine: Engine) -> dict[Any, int]:
    kind = [batch_job_tally.c[name] for name in KIND]
    return _by_kind(engine, select(*kind, func.sum(batch_job_tally.c.jobs)).group_by(*kind))


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

    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
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
        store.tally.compact()
        assert tallied(engine) == counted(engine)

    follow()


def test_the_rows_of_the_tally_are_few_however_often_jobs_move(store: JobStore):
    store.tally._bearable = 10
    for _ in range(10):
        job_in(store, Status.FAILED)
    assert store.count(JobFilter()) == 10
    with store._engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(batch_job_tally)) <= len(Status)
    assert store.count(JobFilter(status=Status.FAILED)) == 10


def test_a_tally_that_was_passed_by_is_right_again_after_a_recount(store: JobStore):
    job_in(store, Status.FAILED)
    with store._engine.begin() as connection:
        connection.execute(update(batch_job_tally).values(jobs=7))
        connection.execute(insert(batch_job_tally).values(type="no", status="created", trigger="api", jobs=3))
    store.tally.recount()
    assert tallied(store._engine) == counted(store._engine)


def test_a_table_that_is_emptied_at_once_has_an_empty_tally(postgres_url: str):
    engine = make_engine(postgres_url)
    database.upgrade(engine)
    store = JobStore(engine)
    job_in(store, Status.FAILED)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE batch_job CASCADE"))
    assert store.count(JobFilter()) == 0
    engine.dispose()


def test_nobody_waits_for_a_job_that_somebody_else_is_about_to_write(postgres_url: str):
    """PostgreSQL: two writers of the same kind of jobs, and one who counts them, do not need each other's end."""
    engine = make_engine(postgres_url)
    database.upgrade(engine)
    store = JobStore(engine)
    held = job_in(store, Status.FAILED)
    with engine.begin() as connection:
        connection.execute(update(batch_job).values(status="created").where(batch_job.c.id == held.id))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
            other.execute(text("SET lock_timeout = '2s'"))
            other.execute(insert(batch_job).values(row(1, {"type": held.type, "created_by": held.created_by})))
            other.execute(update(batch_job).values(status="failed").where(batch_job.c.id == "batch_1"))
            other.execute(text("RESET lock_timeout"))
        assert store.tally.compact() > 0
        assert store.count(JobFilter(status=Status.FAILED)) == 2
    assert tallied(engine) == counted(engine)
    engine.dispose()


def test_the_tally_is_found_wherever_the_tables_are(postgres_url: str):
    """In a schema that the writer's search path does not have."""
    engine = make_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA jobs"))
    there = make_engine(f"{postgres_url}&options=-csearch_path%3Djobs")
    database.upgrade(there)
    with engine.begin() as connection:
        connection.execute(text("ALTER SCHEMA jobs RENAME TO batches"))
        connection.execute(
            text(
                "INSERT INTO batches.batch_job (id, type, strategy, status, context, result, dry_run, trigger, attempt,"
                " version, created_at, updated_at)"
                " VALUES ('batch_1', 'a', 's', 'created', '{}', '{}', false, 'api', 1, 1, now(), now())"
            )
        )
        assert connection.scalar(text("SELECT sum(jobs) FROM batches.batch_job_tally")) == 1
    there.dispose()
    engine.dispose()


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
    assert store.tally.by_status() == {("count", Status.CANCELED): 40, ("count", Status.CREATED): 40}
    assert tallied(store._engine) == counted(store._engine)


def test_jobs_from_before_the_tally_are_in_it_and_it_can_be_taken_away(store: JobStore):
    job_in(store, Status.FAILED)
    job = store.insert(new_job(created_by="ada"), who="test")
    store.insert(new_job(created_by="ada"), who="test")
    assert job is not None
    before = counted(store._engine)
    _migrate(store._engine, command.downgrade, "0003")
    with store._engine.begin() as connection:
        connection.execute(text("UPDATE batch_job SET status = 'canceled' WHERE id = :id"), {"id": job.id})
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
