"""What the database ended for a reason that passes is done again from the checkpoint, and nothing is doubled."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice, pairwise
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.errors import StopRequested
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun, SilentReport
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.sdk.testing import run_strategy
from batch_jobs.strategies.sdk.transient import is_transient, pauses
from support.proxy import proxied

Meddle = Callable[[JobRun, Connection, int], None]
CHUNKS = 4


class Marks(BatchJobStrategy):
    """Write the numbers to 4, each in a chunk, with one reject each; somebody meddles in each."""

    identifier = "marks-strategy"
    batch_type = "marks"

    def __init__(self, meddle: Meddle, in_chunks: bool = True) -> None:
        self.meddle = meddle
        self.in_chunks = in_chunks
        self.runs = 0

    def process(self, job: JobRun) -> None:
        self.runs += 1
        for i in range((job.checkpoint or 0) + 1, CHUNKS + 1):
            if self.in_chunks:
                with job.chunk(cursor=i) as connection:
                    self._write(job, connection, i)
            else:
                with job.target.begin() as connection:
                    self._write(job, connection, i)

    def _write(self, job: JobRun, connection: Connection, i: int) -> None:
        connection.execute(text("INSERT INTO marks VALUES (:i)"), {"i": i})
        job.count(created=1)
        job.reject(i, "i", "is a number", {"i": str(i)})
        self.meddle(job, connection, i)

    def build_template(self) -> str:
        return ""


def make_table(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE marks (i INTEGER)"))


def marks(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT i FROM marks ORDER BY i")))


def once(act: Callable[[JobRun, Connection], None], at: int = 3) -> Meddle:
    """Meddle with one chunk, the first time it is tried."""
    left = [act]

    def meddle(job: JobRun, connection: Connection, i: int) -> None:
        if i == at and left:
            left.pop()(job, connection)

    return meddle


def assert_applied_once(result: JobResult, target: Engine) -> None:
    assert marks(target) == [1, 2, 3, 4]
    assert (result.created, result.advancement_count, result.rejected) == (4, 4, 4)


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Engine]:
    engine = make_engine(postgres_url)
    make_table(engine)
    yield engine
    engine.dispose()


def test_two_jobs_that_lock_each_other_out_both_complete(postgres: Engine):
    with postgres.begin() as connection:
        connection.execute(text("CREATE TABLE pairs AS SELECT 1 AS i, 0 AS n UNION SELECT 2, 0"))
    both = threading.Barrier(2)
    results: list[JobResult] = []

    def crossing(first: int, second: int) -> Meddle:
        def meet(job: JobRun, connection: Connection) -> None:
            connection.execute(text("UPDATE pairs SET n = n + 1 WHERE i = :i"), {"i": first})
            both.wait(30)
            connection.execute(text("UPDATE pairs SET n = n + 1 WHERE i = :i"), {"i": second})

        return once(meet)

    def run(first: int, second: int) -> None:
        results.append(run_strategy(Marks(crossing(first, second)), target=postgres))

    threads = [threading.Thread(target=run, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [result.created for result in results] == [4, 4]
    assert marks(postgres) == [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_chunk_whose_session_is_ended_is_done_again(postgres: Engine):
    def end_session(job: JobRun, connection: Connection) -> None:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        with postgres.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
        connection.execute(text("SELECT 1"))

    strategy = Marks(once(end_session))
    assert_applied_once(run_strategy(strategy, target=postgres), postgres)
    assert strategy.runs == 2


@pytest.mark.parametrize("after_commit", [False, True], ids=["before the commit", "after the commit"])
def test_a_commit_that_got_no_answer_is_decided_by_the_checkpoint(postgres: Engine, after_commit: bool):
    with proxied(postgres.url) as proxy:
        behind = make_engine(proxy.url)
        strategy = Marks(once(lambda job, connection: proxy.cut_at(b"COMMIT", after=after_commit)))
        result = run_strategy(strategy, target=behind)
        behind.dispose()
    assert proxy.cuts == 1
    assert_applied_once(result, postgres)
    assert strategy.runs == 2


@pytest.mark.parametrize("after_commit", [False, True], ids=["before the commit", "after the commit"])
def test_a_chunk_that_the_strategy_itself_tries_again_is_applied_once(postgres: Engine, after_commit: bool):
    class Insistent(Marks):
        def process(self, job: JobRun) -> None:
            self.runs += 1
            for i in range((job.checkpoint or 0) + 1, CHUNKS + 1):
                if not self._is_written(job, i):
                    assert self._is_written(job, i)

        def _is_written(self, job: JobRun, i: int) -> bool:
            try:
                with job.chunk(cursor=i) as connection:
                    self._write(job, connection, i)
            except DBAPIError:
                return False
            return True

    with proxied(postgres.url) as proxy:
        behind = make_engine(proxy.url)
        strategy = Insistent(once(lambda job, connection: proxy.cut_at(b"COMMIT", after=after_commit)))
        result = run_strategy(strategy, target=behind)
        behind.dispose()
    assert proxy.cuts == 1
    assert_applied_once(result, postgres)
    assert strategy.runs == 1 + after_commit


@pytest.mark.parametrize(
    "statement",
    [
        "SET LOCAL lock_timeout = '20ms'; LOCK TABLE held",
        "SET LOCAL statement_timeout = '20ms'; LOCK TABLE held",
    ],
    ids=["lock", "statement"],
)
def test_a_chunk_that_waited_too_long_for_somebody_elses_lock_is_done_again(postgres: Engine, statement: str):
    with postgres.begin() as connection:
        connection.execute(text("CREATE TABLE held (i INTEGER)"))
    holder = postgres.connect()
    holder.execute(text("LOCK TABLE held"))

    def wait_for_it(job: JobRun, connection: Connection) -> None:
        try:
            connection.exec_driver_sql(statement)
        finally:
            holder.rollback()

    assert_applied_once(run_strategy(Marks(once(wait_for_it)), target=postgres), postgres)
    holder.close()


def test_a_chunk_that_found_sqlite_locked_is_done_again(tmp_path: Path):
    target = make_engine(f"sqlite:///{tmp_path / 'target.db'}")
    make_table(target)
    impatient = make_engine(f"sqlite:///{tmp_path / 'target.db'}")
    event.listen(impatient, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 1"))
    other = sqlite3.connect(tmp_path / "target.db", isolation_level=None, check_same_thread=False)
    unlock = threading.Timer(0.5, lambda: other.execute("ROLLBACK"))

    class Locked(Marks):
        def process(self, job: JobRun) -> None:
            if self.runs == 0:
                with job.chunk(cursor=1) as connection:
                    self._write(job, connection, 1)
                other.execute("BEGIN IMMEDIATE")
                unlock.start()
            super().process(job)

    with closing(other):
        strategy = Locked(lambda *_: None)
        assert_applied_once(run_strategy(strategy, target=impatient), target)
        unlock.join()
    assert strategy.runs > 1


def test_work_outside_of_chunks_is_not_run_again(postgres: Engine):
    def end_session(job: JobRun, connection: Connection) -> None:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    strategy = Marks(once(end_session), in_chunks=False)
    with pytest.raises(DBAPIError):
        run_strategy(strategy, target=postgres)
    assert (strategy.runs, marks(postgres)) == (1, [1, 2])


def test_the_looks_before_and_after_the_work_are_taken_again(postgres: Engine):
    class Losing(Marks):
        """Loses its connection once in each of the two."""

        def pre_process(self, job: JobRun) -> None:
            self._look(job, "before")

        def post_process(self, job: JobRun) -> None:
            self._look(job, "after")

        def _look(self, job: JobRun, when: str) -> None:
            looks.append(when)
            with job.target.connect() as connection:
                if looks.count(when) == 1:
                    connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
                assert connection.scalar(text("SELECT count(*) FROM marks")) == (0 if when == "before" else CHUNKS)

    looks: list[str] = []
    assert_applied_once(run_strategy(Losing(lambda *_: None), target=postgres), postgres)
    assert looks == ["before", "before", "after", "after"]


def test_what_does_not_pass_is_not_tried_again(target: Engine):
    make_table(target)
    strategy = Marks(once(lambda job, connection: connection.execute(text("SELECT nothing"))))
    with pytest.raises(DBAPIError):
        run_strategy(strategy, target=target)
    assert (strategy.runs, marks(target)) == (1, [1, 2])


def test_a_cancel_is_heeded_while_a_further_try_is_waited_for(postgres: Engine, tmp_path: Path):
    class Canceling(SilentReport):
        reason: str | None = None

        def stop_reason(self) -> str | None:
            return self.reason

    report = Canceling()

    def fail_and_cancel(job: JobRun, connection: Connection, i: int) -> None:
        report.reason = "canceled"
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    strategy = Marks(fail_and_cancel)
    checkpoints = CheckpointStore(postgres, "batch_1", token=1)
    parts = JobParts(postgres, FileStore(str(tmp_path / "files")), checkpoints, report)
    with pytest.raises(StopRequested, match="canceled"):
        hooks.process(strategy, JobRun(JobIdentity("batch_1", "marks", None), parts))
    assert (strategy.runs, marks(postgres)) == (1, [])


def test_tries_end_within_about_a_minute():
    waits = [*islice(pauses(), hooks.TRIES - 1)]
    assert all(before <= 2 * after for before, after in pairwise(waits))
    assert 20 < sum(waits) < 70


@pytest.mark.parametrize(
    ("statement", "passes"),
    [
        ("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40001'; END $$", True),
        ("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '53300'; END $$", True),
        ("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '08006'; END $$", True),
        ("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '57P03'; END $$", True),
        ("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '53100'; END $$", False),
        ("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '23505'; END $$", False),
        ("SELECT nothing", False),
    ],
)
def test_an_error_of_the_server_passes_or_not_by_its_code(postgres: Engine, statement: str, passes: bool):
    with postgres.connect() as connection, pytest.raises(DBAPIError) as wrapped:
        connection.exec_driver_sql(statement)
    assert is_transient(wrapped.value) is passes
    assert is_transient(wrapped.value.orig) is passes


def test_a_server_that_does_not_answer_may_do_so_later_and_other_errors_have_nothing_to_do_with_it():
    with pytest.raises(DBAPIError) as refused, make_engine("postgresql://nobody@127.0.0.1:1/nothing").connect():
        pass
    assert is_transient(refused.value)
    assert is_transient(refused.value.orig)
    others = [ValueError("no"), sqlite3.IntegrityError("no"), psycopg.InterfaceError("no"), KeyboardInterrupt()]
    assert not any(map(is_transient, others))
