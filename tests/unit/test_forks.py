"""A fork of a job's process: what it may not do, and what it may."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, text

from batch_jobs.strategies import BatchJobStrategy, run_strategy

INSERT = text("INSERT INTO numbers VALUES (:i)")


class Forking(BatchJobStrategy, abstract=True):
    class Context(BaseModel):
        pass

    def build_template(self) -> str:
        return ""


@pytest.fixture
def numbers(target: Engine) -> Engine:
    with target.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (i INTEGER)"))
    return target


def in_table(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT i FROM numbers ORDER BY i")))


def code_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def write(job: Any, i: int) -> None:
    with job.chunk(cursor=i) as connection:
        connection.execute(INSERT, {"i": i})


def fork_and_write(job: Any) -> int | None:
    child = os.fork()
    if not child:
        write(job, 2)
    return child and code_of(child)


def fork_in_a_chunk_and_write(job: Any) -> int | None:
    with job.chunk(cursor=2) as connection:
        child = os.fork()
        connection.execute(INSERT, {"i": 2 if child else 99})
        return child and code_of(child)


def fork_in_a_chunk_and_leave_it(job: Any) -> int | None:
    with job.chunk(cursor=2) as connection:
        connection.execute(INSERT, {"i": 2})
        child = os.fork()
        return child and code_of(child)


def fork_in_a_transaction_and_roll_it_back(job: Any) -> int | None:
    with job.target.begin() as connection:
        connection.execute(INSERT, {"i": 2})
        if not (child := os.fork()):
            raise ValueError("in the child")
        return code_of(child)


def fork_in_a_transaction_and_commit_it(job: Any) -> int | None:
    with job.target.begin() as connection:
        connection.execute(INSERT, {"i": 2})
        child = os.fork()
    return child and code_of(child)


def fork_and_report(job: Any) -> int | None:
    if not (child := os.fork()):
        job.save()
    return code_of(child)


def fork_and_write_a_file(job: Any) -> int | None:
    with job.write_output("numbers.txt") as stream:
        stream.write(b"2")
        child = os.fork()
    return child and code_of(child)


def fork_and_return(job: Any) -> int | None:
    child = os.fork()
    return child and code_of(child)


@pytest.mark.parametrize(
    ("fork", "rows"),
    [
        (fork_and_write, [1, 3]),
        (fork_in_a_chunk_and_write, [1, 2, 3]),
        (fork_in_a_chunk_and_leave_it, [1, 2, 3]),
        (fork_in_a_transaction_and_roll_it_back, [1, 2, 3]),
        (fork_in_a_transaction_and_commit_it, [1, 2, 3]),
        (fork_and_report, [1, 3]),
        (fork_and_write_a_file, [1, 3]),
        (fork_and_return, [1, 3]),
    ],
)
def test_a_fork_that_comes_back_is_ended_and_leaves_no_trace(
    numbers: Engine,
    capfd: pytest.CaptureFixture[str],
    fork: Callable[[Any], int | None],
    rows: list[int],
):
    codes = []

    class Forks(Forking):
        identifier, batch_type = "forks-strategy", "forks"

        def process(self, job: Any) -> None:
            write(job, 1)
            codes.append(fork(job))
            write(job, 3)

    here = os.getpid()
    result = run_strategy(Forks(), {}, target=numbers)
    if os.getpid() != here:  # or the fork would go on with pytest
        os._exit(77)
    assert codes == [1]
    assert in_table(numbers) == rows
    assert result.errors == []
    assert "is a fork of the process that runs" in capfd.readouterr().err


def _count_in_a_fork(numbers: Engine, answers: Any) -> None:
    answers.put(in_table(numbers))


def test_a_process_of_multiprocessing_reads_by_connections_of_its_own(numbers: Engine):
    forked: Any = multiprocessing.get_context("fork")
    with numbers.begin() as connection:
        connection.execute(INSERT, {"i": 1})
        answers = forked.Queue()
    with numbers.connect() as connection:
        assert list(connection.scalars(text("SELECT i FROM numbers"))) == [1]
        child = forked.Process(target=_count_in_a_fork, args=(numbers, answers))
        child.start()
        assert answers.get(timeout=60) == [1]
        child.join()
        assert (child.exitcode, list(connection.scalars(text("SELECT i FROM numbers")))) == (0, [1])


def test_an_exit_in_a_fork_is_its_exit(numbers: Engine):
    codes = []

    class Exits(Forking):
        identifier, batch_type = "exits-strategy", "exits"

        def process(self, job: Any) -> None:
            if not (child := os.fork()):
                raise SystemExit(5)
            codes.append(code_of(child))

    run_strategy(Exits(), {}, target=numbers)
    assert codes == [5]
