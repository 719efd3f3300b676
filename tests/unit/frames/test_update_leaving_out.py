"""A confirmation leaves parts of an update out: rows are known by their keys, wherever they have moved since."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine
from ulid import ULID

from batch_jobs.strategies import FrameUpdate
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.errors import LeaveOutRefused
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.leaving_out import WISH, LeaveOut

Sql = Callable[[str], list[tuple[Any, ...]]]
NAMES = "ABCDEFGHIJ"


class Cheaper(FrameUpdate):
    """Halve prices, of C take all but a tenth, and say so."""

    identifier, batch_type, table = "cheaper-strategy", "cheaper", "goods"

    def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["note"] = "cheaper"
        frame["price"] = (frame["price"] // 2).where(frame["code"] != "C", frame["price"] // 10)
        return frame[::-1]  # in another order than they came


@pytest.fixture
def goods(run_sql: Sql) -> Callable[[], dict[str, tuple[Any, ...]]]:
    run_sql("CREATE TABLE goods (code VARCHAR(20) PRIMARY KEY, price INTEGER, note TEXT)")
    for name in NAMES:
        run_sql(f"INSERT INTO goods VALUES ('{name}', 100, NULL)")
    return lambda: {code: rest for code, *rest in run_sql("SELECT * FROM goods ORDER BY code")}


def attempt(
    target: Engine, folder: Path, before: JobRun | None = None, strategy: type[FrameUpdate] = Cheaper
) -> JobRun:
    job_id, number = (before.id, before.attempt + 1) if before else (f"batch_{ULID()}", 1)
    parts = JobParts(target, FileStore(str(folder)), CheckpointStore(target, job_id, number), chunk_size=2)
    identity = JobIdentity(job_id, strategy.batch_type, strategy.Context(), attempt=number)
    return JobRun(identity, parts, before.result if before else None, before.plan if before else None)


def confirmed(target: Engine, folder: Path, wish: dict[str, Any], strategy: type[FrameUpdate] = Cheaper) -> JobRun:
    job = attempt(target, folder, strategy=strategy)
    hooks.pre_process(strategy(), job)
    given = LeaveOut.of(wish)
    strategy().check_leave_out(given, job.id, job.plan, job.files)
    job.plan[WISH] = given.as_json()
    return job


def reasons(job: JobRun) -> list[str]:
    assert job.result.rejects_file_key
    with job.files.open(job.result.rejects_file_key) as stream:
        return sorted(stream.read().decode().splitlines()[1:])


def test_rows_stay_by_key_line_and_rule_and_columns_stay_as_they_are(
    target: Engine, tmp_path: Path, goods: Any, run_sql: Sql
) -> None:
    wish = {
        "keys": ["B"],
        "lines": [9],
        "columns": ["note"],
        "rules": [{"column": "price", "change_percent_below": -60}],
    }
    job = confirmed(target, tmp_path, wish)
    hooks.process(Cheaper(), job)

    stay = {"B", "C", "I"}
    assert goods() == {name: [100 if name in stay else 50, None] for name in NAMES}
    assert (job.result.updated, job.result.rejected) == (7, 10)
    assert job.plan["left_out"] == {
        "rows": 3,
        "lines": 10,
        "columns": {"note": 7},
        "reasons": {"left out by its key": 1, "left out: price falls": 1, "left out by its line": 1},
    }
    assert any(entry.name == "Left out" for entry in job.result.summary)
    assert sum("left out by its key" in line for line in reasons(job)) == 1


def test_all_columns_may_be_left_out(target: Engine, tmp_path: Path, goods: Any) -> None:
    job = confirmed(target, tmp_path, {"columns": ["price", "note"]})
    hooks.process(Cheaper(), job)
    assert goods() == {name: [100, None] for name in NAMES}
    assert (job.result.unchanged, job.result.updated, job.result.rejected) == (10, 0, 10)


def test_rows_that_moved_since_the_preview_are_left_out_all_the_same_through_kill_and_retry(
    target: Engine, tmp_path: Path, goods: Any, run_sql: Sql
) -> None:
    job = confirmed(target, tmp_path, {"lines": [4, 8], "keys": ["F"]})  # D, H and F
    run_sql("DELETE FROM goods WHERE code IN ('A', 'F')")
    run_sql("INSERT INTO goods VALUES ('C1', 100, NULL), ('C2', 100, NULL), ('C3', 100, NULL)")
    writing, numbers = job.chunk, count(1)

    @contextmanager
    def die(cursor: Any) -> Iterator[Any]:
        with writing(cursor) as connection:
            yield connection
            if next(numbers) == 4:
                raise ZeroDivisionError

    job.chunk = die  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        hooks.process(Cheaper(), job)
    again = attempt(target, tmp_path, job)
    hooks.process(Cheaper(), again)

    prices = {name: price for name, (price, _) in goods().items()}
    assert {name for name, price in prices.items() if price == 100} == {"D", "H"}
    assert prices["C3"] == 50
    assert sum("left out by its line" in line for line in reasons(again)) == again.result.rejected == 2
    assert again.result.updated == 9


def test_keys_of_several_kinds_are_known_again(target: Engine, tmp_path: Path, run_sql: Sql) -> None:
    run_sql(
        "CREATE TABLE parts "
        "(number NUMERIC(8, 2), made TIMESTAMP, day DATE, n INTEGER, PRIMARY KEY (number, made, day))"
    )
    rows = [f"({n}.50, '2026-01-0{n} 10:00:0{n}', '2026-02-0{n}', 1)" for n in range(1, 6)]
    run_sql(f"INSERT INTO parts VALUES {', '.join(rows)}")

    class Count(FrameUpdate):
        """Count up."""

        identifier, batch_type, table = "count-strategy", "count", "parts"

        def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
            return frame.assign(n=2)

    job = confirmed(target, tmp_path, {"lines": [2, 5]}, Count)
    hooks.process(Count(), job)
    assert run_sql("SELECT n FROM parts ORDER BY number") == [(2,), (1,), (2,), (2,), (1,)]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"keys": ["Z"]}, "leave_out names Z, and no change of this job is there"),
        ({"keys": [{"other": "B"}]}, "leave_out names the key"),
        ({"lines": [11]}, "leave_out names 11"),
        ({"columns": ["stock"]}, "leave_out names stock, which is not written; what is: code, price, note"),
        ({"columns": ["code"]}, "code is part of the key"),
    ],
)
def test_what_is_not_there_is_refused(
    target: Engine, tmp_path: Path, goods: Any, wish: dict[str, Any], message: str
) -> None:
    with pytest.raises(LeaveOutRefused, match=message):
        confirmed(target, tmp_path, wish)
