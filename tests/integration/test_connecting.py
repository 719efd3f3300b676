"""Connections that are refused for a while, lost, or lost with the answer to a commit."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

from batch_jobs.flows.database import upgrade
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.strategies.sdk.connecting import wait_for_connections, waiting_as_runs_do, without_waiting
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.errors import StopRequested
from batch_jobs.strategies.sdk.result import JobResult
from support.jobs import job_in
from support.proxy import Proxy, proxied
from support.servers import wait_until


@pytest.fixture
def way(postgres_url: str) -> Iterator[Proxy]:
    with proxied(postgres_url) as proxy:
        yield proxy


@pytest.fixture
def narrow(postgres_url: str) -> Iterator[URL]:
    """The database, by a role that may have one connection."""
    engine, role = make_engine(postgres_url), f"narrow_{make_url(postgres_url).database}"
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1"))
    yield make_url(postgres_url).set(username=role)
    with engine.begin() as connection:
        connection.execute(text(f"DROP ROLE {role}"))
    engine.dispose()


def answer(engine: Engine) -> object:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT 1"))


def is_waiting(caplog: pytest.LogCaptureFixture) -> bool:
    return any("is waited for" in record.getMessage() for record in caplog.records)


def test_a_role_that_has_all_its_connections_gets_the_next_one_when_one_is_free(
    narrow: URL, caplog: pytest.LogCaptureFixture
):
    first, second = (make_engine(narrow.render_as_string(hide_password=False)) for _ in range(2))
    wait_for_connections(second)
    with ThreadPoolExecutor(1) as other:
        with first.connect():
            waiting = other.submit(answer, second)
            wait_until(lambda: is_waiting(caplog), what="a connection that is waited for")
            assert not waiting.done()
            with pytest.raises(OperationalError, match="too many connections"), without_waiting():
                answer(second)
        first.dispose()
        assert waiting.result(30) == 1
    second.dispose()


def test_a_database_that_is_away_is_waited_for_by_a_run_and_by_nobody_else(
    way: Proxy, caplog: pytest.LogCaptureFixture
):
    engine = wait_for_connections(make_engine(way.url))
    way.refuse()
    with pytest.raises(OperationalError):
        answer(engine)
    assert not is_waiting(caplog)

    def as_a_run() -> object:
        with waiting_as_runs_do():
            return answer(engine)

    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(as_a_run)
        wait_until(lambda: is_waiting(caplog), what="a connection that is waited for")
        way.open()
        assert waiting.result(30) == 1
    engine.dispose()


def test_waiting_ends_when_the_job_is_to_stop(way: Proxy):
    def canceled() -> None:
        raise StopRequested("canceled")

    engine = wait_for_connections(make_engine(way.url), away_seconds=600, stop_if_asked=canceled)
    way.refuse()
    with pytest.raises(StopRequested):
        answer(engine)


def test_what_is_refused_each_time_is_not_waited_for(postgres_url: str):
    for wrong in ({"database": "nothing"}, {"username": "nobody_of_this_name"}):
        url = make_url(postgres_url).set(**wrong).render_as_string(hide_password=False)
        engine = wait_for_connections(make_engine(url), away_seconds=600)
        with pytest.raises(OperationalError, match="does not exist"), waiting_as_runs_do():
            answer(engine)


class LosingStore:
    """A job table whose next commit loses its connection: before it is made, or with its answer."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        upgrade(self.engine)
        self.store = JobStore(self.engine)
        self._loses: str | None = None
        event.listen(self.engine, "commit", self._commit)

    def lose(self, what: str) -> None:
        self._loses = what

    def _commit(self, connection: Connection) -> None:
        loses, self._loses = self._loses, None
        driver = connection.connection.dbapi_connection
        if loses is None or driver is None:
            return
        if loses == "the answer":
            driver.commit()
        driver.close()


@pytest.fixture
def losing(postgres_url: str) -> Iterator[LosingStore]:
    losing = LosingStore(postgres_url)
    yield losing
    losing.engine.dispose()


@pytest.mark.parametrize("lost", ["the commit", "the answer"])
def test_a_change_whose_connection_is_lost_is_made_once(losing: LosingStore, lost: str):
    store, here = losing.store, ProcessIdentity.current()
    job = job_in(store, Status.CREATED)
    losing.lose(lost)
    claimed = store.claim(job, here, None)
    assert (claimed.version, claimed.claim, claimed.worker) == (job.version + 1, job.version + 1, here)
    losing.lose(lost)
    moved = store.move(claimed, Action.PRE_PROCESS, who="attempt 1")
    assert (moved.version, moved.status) == (claimed.version + 1, Status.PRE_PROCESSED)
    assert [step.action for step in store.events(job.id)] == ["create", "pre_process"]
    losing.lose(lost)
    assert store.beat(job.id, claimed.claim or 0)
    losing.lose(lost)
    released = store.release(moved)
    assert (released.version, released.worker) == (moved.version + 1, None)


@pytest.mark.parametrize("change", ["save_result", "claim", "move"])
def test_a_job_table_that_somebody_has_locked_is_waited_for_by_a_run_and_by_nobody_else(tmp_path: Path, change: str):
    engine = make_engine(f"sqlite:///{tmp_path / 'jobs.db'}")
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 1"))
    upgrade(engine)
    store, asked = JobStore(engine), threading.Event()
    job = store.claim(job_in(store, Status.CREATED), ProcessIdentity.current(), None)
    changes: dict[str, Callable[[], object]] = {
        "save_result": lambda: store.save_result(job.id, job.claim or 0, JobResult(progress=0.5), {}),
        "claim": lambda: store.claim(job, ProcessIdentity.current(), None),
        "move": lambda: store.move(job, Action.PRE_PROCESS, who="attempt 1"),
    }

    def as_a_run() -> None:
        asked.set()
        with waiting_as_runs_do():
            changes[change]()

    other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
    with closing(other), ThreadPoolExecutor(1) as run:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"):
            changes[change]()
        waiting = run.submit(as_a_run)
        assert asked.wait(30)
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        other.execute("ROLLBACK")
        waiting.result(30)
    saved = store.get(job.id)
    assert saved.result.progress == 0.5 if change == "save_result" else saved.version == job.version + 1
    engine.dispose()
