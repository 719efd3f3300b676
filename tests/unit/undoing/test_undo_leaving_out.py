"""A confirmation leaves parts of an undo out: they stay as the job left them, with the reason."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.errors import LeaveOutRefused
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.leaving_out import WISH, LeaveOut
from batch_jobs.strategies.tables.changes.blocks import ChangedRows
from batch_jobs.strategies.tables.changes.planned import ChangesFile
from batch_jobs.strategies.tables.changes.recording import record
from batch_jobs.strategies.undo import Undo
from support.importing import Importing
from support.undoing import Undoing, imported

Sql = Callable[[str], list[tuple[Any, ...]]]
Table = Callable[[], list[tuple[Any, ...]]]
#: A and C change, E and F are new, and of a sync D is removed.
FILE = "code,name,price,stock\nA,Apricot,4,1\nB,Bread,2,\nC,Corn,,3\nE,Egg,1,1\nF,Fig,2,2\n"


def confirmed(undoing: Undoing, job_id: str, wish: dict[str, Any], **context: Any) -> JobRun:
    undo = undoing.preview(job_id, **context)
    given = LeaveOut.of(wish)
    Undo().check_leave_out(given, undo.id, undo.plan, undo.files)
    undo.plan[WISH] = given.as_json()
    return undo


def sync(importing: Importing) -> JobRun:
    return imported(importing, FILE, table="goods", mode="sync", missing="delete", max_removed=9)


def codes(rows: list[tuple[Any, ...]]) -> list[str]:
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    ("wish", "stay"),
    [
        ({"kinds": ["removed"]}, "EF"),
        ({"kinds": ["created"]}, "D"),
        ({"kinds": ["updated", "removed"]}, "ACEF"),
        ({"keys": ["A", "F"]}, "AF"),
        ({"lines": [4, 5]}, "CE"),
        ({"rules": [{"column": "price", "change_percent_below": -50}]}, "A"),
    ],
)
def test_rows_stay_as_the_job_left_them(
    importing: Importing, undoing: Undoing, goods: Table, wish: dict[str, Any], stay: str
) -> None:
    before = {row[0]: row for row in goods()}
    job = sync(importing)
    after = {row[0]: row for row in goods()}
    undo = confirmed(undoing, job.id, wish)
    undoing.process(undo)

    expected = {code: row for code, row in before.items() if code not in stay}
    expected |= {code: row for code, row in after.items() if code in stay}
    assert {row[0]: row for row in goods()} == expected
    assert undo.result.rejected == len(stay) == undo.plan["left_out"]["rows"]
    assert sum("left out" in line for line in undoing.rejects(undo)) == len(stay)
    undoing(undo.id)
    assert {row[0]: row for row in goods()} == after, "the log has what went back, and no more"


def test_columns_stay_and_the_rest_of_their_rows_goes_back(
    importing: Importing, undoing: Undoing, goods: Table, run_sql: Sql
) -> None:
    job = sync(importing)
    after = goods()
    undo = confirmed(undoing, job.id, {"columns": ["name"]})
    undoing.process(undo)

    rows = {row[0]: (row[1], None if row[2] is None else float(row[2])) for row in goods()}
    assert rows == {"A": ("Apricot", 1.5), "B": ("Bread", 2), "C": ("Corn", None), "D": (None, 4.25)}
    assert (undo.result.updated, undo.result.created, undo.result.removed, undo.result.unchanged) == (1, 1, 2, 1)
    assert undo.plan["left_out"]["columns"] == {"name": 3}
    assert sum("left out" in line for line in undoing.rejects(undo)) == 3
    undoing(undo.id)
    assert goods() == after


def test_all_columns_may_be_left_out(importing: Importing, undoing: Undoing, goods: Table) -> None:
    job = imported(importing, "code,price\nA,7\nB,8\n", table="goods", mode="update")
    after = goods()
    undo = confirmed(undoing, job.id, {"columns": ["price"]})
    undoing.process(undo)
    assert goods() == after
    assert (undo.result.unchanged, undo.result.updated, undo.result.rejected) == (2, 0, 2)


def test_what_is_overwritten_by_force_is_compared_as_it_is_now(
    importing: Importing, undoing: Undoing, goods: Table, run_sql: Sql
) -> None:
    job = imported(importing, "code,price\nA,2\nB,3\n", table="goods", mode="update")
    run_sql("UPDATE goods SET price = 9 WHERE code = 'A'")
    run_sql("UPDATE goods SET name = 'Bun' WHERE code = 'B'")
    undo = undoing.preview(job.id, force=True)
    with ChangesFile(undo.files, undo.id) as changes:
        shown = [row for batch in changes.batches() for one in batch for row in one.rows.to_pylist()]
    assert sorted((row["=code"], float(row["-price"]), float(row["+price"])) for row in shown) == [
        ("A", 9.0, 1.5),
        ("B", 3.0, 2.0),
    ]
    undo = confirmed(undoing, job.id, {"rules": [{"column": "price", "change_percent_below": -50}]}, force=True)
    undoing.process(undo)
    assert [float(row[2]) for row in goods()[:2]] == [9, 2]


def test_rows_that_go_back_together_are_left_out_together_and_have_no_single_columns(
    importing: Importing, undoing: Undoing, goods: Table, run_sql: Sql
) -> None:
    job = importing.preview(FILE, table="goods", mode="upsert")
    job.begin_processing()
    with job.chunk(cursor=1) as connection:
        connection.execute(text("UPDATE goods SET stock = 7"))
        keys, stocks = ["A", "B", "C", "D"], ["1", None, "3", "4"]
        rows = {"=code": keys, "-stock": stocks, "+stock": ["7"] * 4, "group": ["one", "two", "one", None]}
        record(connection, [ChangedRows("goods", "updated", ["code"], pa.table(rows))])
    undo = confirmed(undoing, job.id, {"keys": ["C"]}, max_rejects=0)
    undoing.process(undo)
    assert [row[3] for row in goods()] == [7, None, 7, 4]
    assert "left out with the rest of one" in "\n".join(undoing.rejects(undo))
    again = undoing.preview(job.id)
    with pytest.raises(LeaveOutRefused, match="go back together"):
        Undo().check_leave_out(LeaveOut.of({"columns": ["stock"]}), again.id, again.plan, again.files)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"keys": ["Z"]}, "leave_out names Z, and no change of this job is there"),
        ({"lines": [77]}, "leave_out names 77"),
        ({"columns": ["weight"]}, "leave_out names weight, which is not written"),
        ({"columns": ["code"]}, "code is part of the key"),
        ({"rules": [{"column": "name", "change_percent_above": 1}]}, "name holds no numbers"),
    ],
)
def test_what_is_not_there_is_refused(
    importing: Importing, undoing: Undoing, goods: Table, wish: dict[str, Any], message: str
) -> None:
    job = sync(importing)
    with pytest.raises(LeaveOutRefused, match=message):
        confirmed(undoing, job.id, wish)


@pytest.fixture
def numbers(run_sql: Sql) -> Table:
    run_sql("CREATE TABLE numbers (id INTEGER PRIMARY KEY, n INTEGER)")
    return lambda: run_sql("SELECT id, n FROM numbers ORDER BY id")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stay=st.sets(st.integers(1, 20), min_size=1), at=st.integers(1, 6))
def test_what_is_left_out_is_so_exactly_once_through_kill_and_retry(
    target: Engine, importing: Importing, undoing: Undoing, numbers: Table, run_sql: Sql, stay: set[int], at: int
) -> None:
    run_sql("DELETE FROM numbers")
    for number in range(1, 11):
        run_sql(f"INSERT INTO numbers VALUES ({number}, 0)")
    content = "id,n\n" + "".join(f"{number},{number}\n" for number in range(1, 21))
    job = imported(importing, content, table="numbers", mode="upsert")
    undo = confirmed(undoing, job.id, {"keys": sorted(stay)})
    writing, chunks = undo.chunk, count(1)

    @contextmanager
    def die(cursor: Any) -> Iterator[Any]:
        with writing(cursor) as connection:
            yield connection
            if next(chunks) == at:
                raise ZeroDivisionError

    undo.chunk = die  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        hooks.process(Undo(), undo)
    parts = JobParts(target, importing.files, CheckpointStore(target, undo.id, 2), chunk_size=3)
    again = JobRun(JobIdentity(undo.id, "undo", undo.context, attempt=2), parts, undo.result, undo.plan)
    hooks.process(Undo(), again)

    there = [(number, number if number in stay else 0) for number in range(1, 11)]
    assert numbers() == there + [(number, number) for number in range(11, 21) if number in stay]
    assert again.result.rejected == len(stay)
    assert again.result.updated + again.result.removed == 20 - len(stay)
