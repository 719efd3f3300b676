"""Rows that come from elsewhere than a file: from an API, from a data set."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.frames.frame_import import FrameImport
from batch_jobs.strategies.tables.frames.source_reader import FrameChunk

ROWS = [{"id": n, "name": f"name {n}", "price": n if n < 5 else n + 0.5} for n in range(1, 11)]
TABLE = "CREATE TABLE goods (code INTEGER PRIMARY KEY, name TEXT, price DOUBLE PRECISION)"


class Fetched(FrameImport):
    """Load what a list has, three rows a page."""

    identifier, batch_type = "fetched-strategy", "fetched"
    table, key = "goods", ["code"]

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.rows = list(ROWS)

    def frames(self, job: JobRun, after: Any) -> Iterator[FrameChunk]:
        self.asked.append(after)
        for begin in range(after or 0, len(self.rows), 3):
            yield FrameChunk(pd.DataFrame(self.rows[begin : begin + 3]), begin + 3)

    def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        job.reject_rows(frame["id"] == 4, "id", "is four")
        return frame.rename(columns={"id": "code"})


def run(importing: Any, strategy: FrameImport, **context: Any) -> JobRun:
    importing.strategy = strategy
    job = importing.job_of(strategy.Context(**context))
    hooks.pre_process(strategy, job)
    return job


@pytest.fixture
def fetching(importing_by):
    return importing_by(lambda frame, job: frame)


def test_pages_of_a_source_go_into_the_table_with_preview_and_rejects(fetching, run_sql):
    run_sql(TABLE)
    run_sql("INSERT INTO goods VALUES (2, 'two', 2)")
    strategy = Fetched()
    job = run(fetching, strategy)
    assert job.context.mode == "upsert"
    assert (job.plan["counts"]["create"], job.plan["counts"]["update"], job.plan["counts"]["reject"]) == (8, 1, 1)
    hooks.process(strategy, job)
    assert (job.result.created, job.result.updated, job.result.advancement_count) == (8, 1, 10)
    assert fetching.rejects(job.result) == ["id,name,price,reject_line,reject_reason", "4,name 4,4,4,id: is four"] or (
        fetching.rejects(job.result)[1].endswith(",4,id: is four")
    )
    assert run_sql("SELECT code, price FROM goods ORDER BY code") == [
        (row["id"], row["price"]) for row in ROWS if row["id"] != 4
    ]


def test_a_run_goes_on_after_the_cursor_of_the_last_page(fetching, run_sql):
    run_sql(TABLE)
    strategy = Fetched()
    fetching.strategy = strategy
    again = fetching.broken_off(fetching.job_of(strategy.Context()), at=3)
    assert strategy.asked[-2:] == [None, 3]
    assert run_sql("SELECT count(*), sum(code) FROM goods") == [(9, 51)]
    assert again.result.advancement_count == 10


def test_a_column_has_one_type_in_all_pages(fetching, run_sql):
    seen = set()

    class Noting(Fetched):
        identifier, batch_type = "noting-strategy", "noting"

        def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
            seen.add(str(frame["price"].dtype))
            return super().transform(frame, job)

    strategy = Noting()
    job = run(fetching, strategy)
    assert [column["type"] for column in job.plan["creates"]] == ["BigInteger", "Text", "Double"]
    seen.clear()
    hooks.process(strategy, job)
    assert seen == {"double[pyarrow]"}
    assert run_sql("SELECT price FROM goods WHERE code = 10") == [(10.5,)]


def test_a_source_without_rows_that_names_its_columns_loads_nothing(fetching, run_sql):
    run_sql(TABLE)

    class Empty(Fetched):
        identifier, batch_type = "empty-strategy", "empty"

        def frames(self, job: JobRun, after: Any) -> Iterator[FrameChunk]:
            yield FrameChunk(pd.DataFrame(ROWS[:0], columns=["id", "name", "price"]), 0)

    strategy = Empty()
    job = run(fetching, strategy)
    hooks.process(strategy, job)
    assert (job.result.created, job.progress.total) == (0, 0)


def test_a_source_without_frames_and_a_cursor_that_is_no_json_are_refused(fetching, run_sql):
    run_sql(TABLE)

    class Nothing(Fetched):
        identifier, batch_type = "nothing-strategy", "nothing"

        def frames(self, job: JobRun, after: Any) -> Iterator[FrameChunk]:
            yield from ()

    with pytest.raises(JobRefused, match="frames gave no frame"):
        run(fetching, Nothing())

    class Odd(Fetched):
        identifier, batch_type = "odd-strategy", "odd"

        def frames(self, job: JobRun, after: Any) -> Iterator[FrameChunk]:
            yield FrameChunk(pd.DataFrame(ROWS[:3]), {1, 2})

    with pytest.raises(Exception, match="the cursor of a frame"):
        run(fetching, Odd())


def test_a_source_asks_for_no_file(fetching):
    assert "file_key" not in Fetched.Context.model_fields
    assert {"mode", "max_rejects"} <= set(Fetched.Context.model_fields)
