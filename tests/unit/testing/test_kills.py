"""Runs that are killed and retried in an author's test."""

import os
from pathlib import Path

import pandas as pd
import pytest
from pydantic import BaseModel
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, insert

from batch_jobs.strategies import BatchJobStrategy, FrameImport, JobRun, make_engine
from batch_jobs.strategies.sdk.errors import TooManyRejects
from batch_jobs.testing import AttemptFailed, Files, Kill, Run, Runner, killed_and_retried, rows_in

pytest_plugins = ["batch_jobs.testing"]

STEPS = Table("steps", MetaData(), Column("number", Integer), Column("process", Integer), Column("attempt", Integer))
PRICES = "code,net\n" + "".join(f"{number},{number % 4}.50\n" for number in range(100, 130)) + "130,-1.00\n"


class Steps(BatchJobStrategy):
    """Write a number a chunk, and the process that did."""

    identifier = "steps-strategy"
    batch_type = "steps"

    class Context(BaseModel):
        steps: int = 6
        forgets: bool = False

    def pre_process(self, job: JobRun) -> None:
        job.plan["looked_at_by"] = os.getpid()
        job.progress.total = job.context.steps

    def process(self, job: JobRun) -> None:
        STEPS.create(job.target, checkfirst=True)
        done = 0 if job.context.forgets else job.checkpoint or 0
        for number in range(done + 1, job.context.steps + 1):
            row = {"number": number, "process": os.getpid(), "attempt": job.attempt}
            with job.chunk(cursor=number) as connection:
                connection.execute(insert(STEPS), [row])
                job.count(created=1)

    def build_template(self) -> str:
        return ""


class Prices(FrameImport):
    """Load prices."""

    identifier, batch_type = "prices-strategy", "prices"
    table, key = "prices", ["code"]

    def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["price"] = frame["net"] * 2.0
        job.reject_rows(frame["price"] <= 0, "price", "is not above zero")
        return frame[["code", "price"]]


class Report(BatchJobStrategy):
    """Write a file, in no chunks."""

    identifier = "report-strategy"
    batch_type = "report"

    def process(self, job: JobRun) -> None:
        with job.write_output("report.txt") as stream:
            stream.write(f"by {os.getpid()}".encode())

    def build_template(self) -> str:
        return ""


def numbers(target: Engine) -> list[int]:
    return [row["number"] for row in rows_in(target, "steps")]


def test_attempts_die_in_processes_of_their_own_and_go_on_from_the_checkpoint(target: Engine, files: Files):
    kills = [Kill.after(2), Kill.inside(1), Kill.inside(2)]

    done = killed_and_retried(Steps(), target=target, files=files, kills=kills)

    rows = rows_in(target, "steps")
    assert [(row["number"], row["attempt"]) for row in rows] == [(1, 1), (2, 1), (3, 3), (4, 4), (5, 4), (6, 4)]
    assert len({os.getpid(), *(row["process"] for row in rows)}) == 4
    assert (done.result.created, done.result.progress) == (6, 1.0)
    assert done.plan["looked_at_by"] == rows[0]["process"]  # what the first attempt found is what the others have


@pytest.mark.parametrize("seed", range(3))
def test_an_import_killed_at_drawn_moments_ends_as_one_run(target: Engine, files: Files, run: Runner, seed: int):
    context = {"file_key": files.add("prices.csv", PRICES), "mode": "insert"}
    once = run(Prices(), context)
    expected = rows_in(target, "prices")
    with target.begin() as connection:
        Table("prices", MetaData()).drop(connection)

    often = killed_and_retried(Prices(), context, target=target, files=files, kills=4, chunk_size=4, seed=seed)

    assert rows_in(target, "prices") == expected
    assert len(expected) == 30
    assert (often.result.created, often.rejects) == (once.result.created, once.rejects)
    assert [(row.line, row.reason) for row in once.rejects] == [(32, "price: is not above zero")]


def test_a_strategy_that_forgets_its_checkpoint_is_found_out(target: Engine, files: Files):
    killed_and_retried(Steps(), {"forgets": True}, target=target, files=files, kills=[Kill.after(3)])

    assert sorted(numbers(target)) == [1, 1, 2, 2, 3, 3, 4, 5, 6]


def test_a_file_is_killed_while_it_is_written_and_when_it_is(target: Engine, files: Files):
    done: Run = killed_and_retried(Report(), target=target, files=files, kills=[Kill.inside(1), Kill.after(1)])

    assert done.output
    assert done.output.startswith(b"by ")
    assert int(done.output.split()[1]) != os.getpid()


def test_kills_that_test_nothing_are_refused(target: Engine, files: Files):
    with pytest.raises(ValueError, match=r"Kill.after\(9\) was not reached: attempt 1 came to its end before it"):
        killed_and_retried(Steps(), target=target, files=files, kills=[Kill.after(9)])
    with pytest.raises(ValueError, match=r"there is a single chunk, .* or a chunk_size below 10"):
        killed_and_retried(Steps(), {"steps": 1}, target=target, files=files)
    with pytest.raises(ValueError, match="a database in memory ends with its process"):
        killed_and_retried(Steps(), target=make_engine("sqlite://"), files=files)


def test_what_ends_an_attempt_by_itself_is_raised(target: Engine, files: Files):
    class Local(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")

    class Failing(Steps):
        def process(self, job: JobRun) -> None:
            raise TooManyRejects(3, 2, "nothing was written") if job.context.forgets else Local(1, 2)

    with pytest.raises(TooManyRejects, match="3 rows are rejected and max_rejects is 2; nothing was written"):
        killed_and_retried(Failing(), {"forgets": True}, target=target, files=files)
    with pytest.raises(AttemptFailed, match=r"^Local: 1 and 2\n"):
        killed_and_retried(Failing(), target=target, files=files)


def test_the_target_can_be_used_before_and_after(target: Engine, files: Files, tmp_path: Path):
    names = Table("names", MetaData(), Column("name", String(10), primary_key=True))
    names.create(target)
    with target.begin() as connection:
        connection.execute(insert(names), [{"name": "b"}, {"name": "a"}])

    killed_and_retried(Steps(), target=target, files=files, kills=1)

    assert rows_in(target, "names") == [{"name": "a"}, {"name": "b"}]
