"""Sessions of attempts that are gone: found by their names, and ended by the next attempt where it may."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.database import make_engine, make_small_engine
from batch_jobs.strategies.sdk.errors import StopRequested, Superseded
from batch_jobs.strategies.sdk.sessions import Session, end_sessions_before, make_attempt_engine
from support.proxy import proxied
from support.servers import wait_until

JOB = "batch_01JZZZZZZZZZZZZZZZZZZZZZZZ"


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """The target of the next attempt."""
    engine = make_attempt_engine(postgres_url, Session(JOB, 8))
    yield engine
    engine.dispose()


def sessions(engine: Engine) -> list[str]:
    """The names of all other sessions."""
    query = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
    with engine.connect() as connection:
        return list(connection.scalars(text(f"{query} AND pid <> pg_backend_pid()")))


def test_the_next_attempt_ends_the_session_of_one_that_was_cut_off_in_a_chunk(postgres_url: str, engine: Engine):
    with proxied(postgres_url) as cable:
        lost = make_attempt_engine(cable.url, Session(JOB, 7))
        checkpoints = CheckpointStore(lost, JOB, token=7)
        checkpoints.take()
        chunk = checkpoints.transaction()
        chunk.__enter__()
        cable.cut()

        assert CheckpointStore(engine, JOB, token=8).take().chunk_number == 0

        wait_until(lambda: Session(JOB, 7).name not in sessions(engine), what="the end of the lost session")


def test_a_chunk_that_is_being_committed_is_waited_for_and_not_ended(postgres_url: str, engine: Engine):
    earlier = make_attempt_engine(postgres_url, Session(JOB, 7))
    checkpoints = CheckpointStore(earlier, JOB, token=7)
    begun = checkpoints.take()
    with checkpoints.transaction() as connection:
        checkpoints.save(connection, begun.__class__(1, "a", begun.counters))
    assert CheckpointStore(engine, JOB, token=8).take().cursor == "a"
    assert Session(JOB, 7).name in sessions(engine)
    with pytest.raises(Superseded), checkpoints.transaction():
        pass
    earlier.dispose()


def test_a_lock_of_somebody_else_is_waited_for_until_the_job_is_canceled(postgres_url: str, engine: Engine):
    CheckpointStore(engine, JOB, token=1).take()
    other = make_engine(postgres_url)

    def canceled() -> None:
        raise StopRequested("canceled")

    with other.begin() as connection:
        connection.execute(text("SELECT 1 FROM batch_job_checkpoint FOR UPDATE"))
        with pytest.raises(StopRequested):
            CheckpointStore(engine, JOB, token=8, stop_if_asked=canceled).take()
        assert connection.scalar(text("SELECT 1")) == 1, "it is not ours to end"
    assert CheckpointStore(engine, JOB, token=8).take().chunk_number == 0
    other.dispose()


def test_only_earlier_attempts_of_the_same_job_are_ended(postgres_url: str, engine: Engine):
    names = [Session(JOB, claim).name for claim in (3, 8, 9)]
    names += [Session(f"{JOB}X", 3).name, f"{Session(JOB, 3).name} or so", "batch-jobs"]
    engines = [make_small_engine(postgres_url, name, kept=1) for name in names]
    open_ones = [one.connect() for one in engines]
    for one in open_ones:
        one.execute(text("SELECT 1"))

    assert end_sessions_before(engine, Session(JOB, 8)) == []

    wait_until(lambda: names[0] not in sessions(engine), what="the end of the earlier attempt")
    assert set(names[1:]) <= set(sessions(engine))
    for one, made in zip(open_ones, engines, strict=True):
        one.invalidate()
        made.dispose()


def test_of_a_session_that_this_role_may_not_end_it_is_told_who_may(postgres_url: str):
    role = f"role_{make_url(postgres_url).database}"
    owner = make_attempt_engine(postgres_url, Session(JOB, 7))
    with owner.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.commit()
        stranger = make_engine(make_url(postgres_url).set(username=role).render_as_string(hide_password=False))
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        assert end_sessions_before(stranger, Session(JOB, 8)) == [
            f"session {pid} of role postgres ({Session(JOB, 7).name}) still has its locks and this role may not end it;"
            f" run SELECT pg_terminate_backend({pid}) as that role"
        ]
        stranger.dispose()
        connection.execute(text(f"DROP ROLE {role}"))
        connection.commit()
    owner.dispose()


def test_the_server_ends_a_transaction_that_nobody_goes_on_with_unless_it_is_set_otherwise(postgres_url: str):
    with proxied(postgres_url) as way:
        engine = make_engine(way.url)
        with engine.connect() as connection:
            assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1h"
        engine.dispose()
        set_to = make_engine(f"{way.url}?options=-cidle_in_transaction_session_timeout%3D7s")
        with set_to.connect() as connection:
            assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "7s"
        set_to.dispose()


def test_what_the_url_says_of_a_connection_stays(postgres_url: str):
    with proxied(postgres_url) as way:
        engine = make_engine(f"{way.url}?connect_timeout=3&application_name=shop")
        with engine.connect() as connection:
            made = connection.connection.dbapi_connection
            assert isinstance(made, psycopg.Connection)
            parameters = made.info.get_parameters()
            assert (parameters["connect_timeout"], parameters["application_name"]) == ("3", "shop")
            assert parameters["tcp_user_timeout"] == "25000"
        engine.dispose()
        attempt = make_attempt_engine(f"{way.url}?application_name=shop", Session(JOB, 8))
        assert sessions(attempt) == []
        with attempt.connect() as connection:
            assert connection.scalar(text("SHOW application_name")) == Session(JOB, 8).name
        attempt.dispose()
