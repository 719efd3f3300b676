"""A confirmation leaves parts out: what stays as it was is rejected with the reason, and the log has no such change."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.change_log import ChangeOptions
from batch_jobs.strategies.sdk.errors import LeaveOutRefused, TooManyRejects
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.leaving_out import WISH, LeaveOut
from support.importing import Importing

FILE = "code,name,price\nA,Apple,10\nB,Bread,5\nC,Cake,7.60\nD,Date,40\nE,Egg,\nF,Fig,3\nG,Grape,4\n"


@pytest.fixture
def goods(run_sql) -> Callable[[], dict[str, tuple[Any, ...]]]:
    run_sql("CREATE TABLE goods (code VARCHAR(9) PRIMARY KEY, name TEXT NOT NULL, price NUMERIC(10, 2) DEFAULT 1)")
    for code, name, price in [
        ("A", "Apple", 10),
        ("B", "Bun", 5),
        ("C", "Cake", 20),
        ("D", "Date", 10),
        ("E", "Egg", 2),
        ("X", "Xylitol", 9),
        ("Y", "Yam", 8),
    ]:
        run_sql(f"INSERT INTO goods VALUES ('{code}', '{name}', {price})")

    def there() -> dict[str, tuple[Any, ...]]:
        rows = run_sql("SELECT code, name, price FROM goods ORDER BY code")
        return {code: (name, None if price is None else float(price)) for code, name, price in rows}

    return there


@pytest.fixture
def choose(importing: Importing) -> Callable[..., JobRun]:
    """Previews, confirms without some parts, and runs."""

    def run(leave_out: dict[str, Any], content: str = FILE, **context: Any) -> JobRun:
        job = confirmed(importing, leave_out, content, **context)
        hooks.process(importing.strategy, job)
        hooks.post_process(importing.strategy, job)
        return job

    return run


def confirmed(importing: Importing, leave_out: dict[str, Any], content: str = FILE, **context: Any) -> JobRun:
    job = importing.preview(content, **{"table": "goods", "mode": "upsert", **context})
    wish = LeaveOut.of(leave_out)
    importing.strategy.check_leave_out(wish, job.id, job.plan, job.files)
    job.plan[WISH] = wish.as_json()
    return job


def broken_off(importing: Importing, job: JobRun, at: int) -> JobRun:
    """Run a job that dies in its n-th chunk after its writes, and then another attempt to its end."""
    writing, numbers = job.chunk, count(1)

    @contextmanager
    def die(cursor: Any) -> Iterator[Any]:
        with writing(cursor) as connection:
            yield connection
            if next(numbers) == at:
                raise ZeroDivisionError

    job.chunk = die  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        hooks.process(importing.strategy, job)
    again = importing.again(job)
    hooks.process(importing.strategy, again)
    return again


def rejects(importing: Importing, job: JobRun) -> list[tuple[str, str]]:
    rows = csv.DictReader(importing.rejects(job.result))
    return [(row["code"], row["reject_reason"]) for row in rows]


def logged(job: JobRun) -> dict[str, int]:
    with job.target.connect() as connection:
        found = connection.execute(
            text("SELECT kind, sum(rows) FROM batch_job_change WHERE job_id = :id GROUP BY kind"), {"id": job.id}
        )
        return {kind: int(rows) for kind, rows in found}


def test_a_rule_leaves_out_what_changes_by_too_much(importing, choose, goods):
    rules = [{"column": "price", "change_percent_below": -50, "change_percent_above": 200}]

    job = choose({"rules": rules})

    assert rejects(importing, job) == [
        ("C", "left out: price falls by 62 %"),
        ("D", "left out: price rises by 300 %"),
    ]
    there = goods()
    assert (there["C"], there["D"]) == (("Cake", 20), ("Date", 10))
    assert (there["B"], there["E"], there["F"]) == (("Bread", 5), ("Egg", None), ("Fig", 3))
    assert (job.result.created, job.result.updated, job.result.unchanged, job.result.rejected) == (2, 2, 1, 2)
    assert logged(job) == {"created": 2, "updated": 2}
    assert job.plan["left_out"] == {
        "rows": 2,
        "lines": 2,
        "columns": {},
        "reasons": {"left out: price falls": 1, "left out: price rises": 1},
    }
    (said,) = [entry.message for entry in job.result.stat_descriptors if entry.key == "left-out"]
    assert said == "2 rows (1 price falls, 1 price rises)"


def test_a_value_that_is_lost_can_be_a_rule(importing, choose, goods):
    job = choose({"rules": [{"column": "price", "becomes_empty": True}]})

    assert rejects(importing, job) == [("E", "left out: price becomes empty")]
    assert goods()["E"] == ("Egg", 2)


def test_a_left_out_column_stays_in_known_rows_and_new_ones_get_its_default(importing, choose, goods):
    job = choose({"columns": ["price"]})

    assert goods() == {
        "A": ("Apple", 10),
        "B": ("Bread", 5),
        "C": ("Cake", 20),
        "D": ("Date", 10),
        "E": ("Egg", 2),
        "F": ("Fig", 1),
        "G": ("Grape", 1),
        "X": ("Xylitol", 9),
        "Y": ("Yam", 8),
    }
    assert rejects(importing, job) == [(code, "price: left out") for code in "CDEFG"]
    assert (job.result.created, job.result.updated, job.result.unchanged) == (2, 1, 4)
    assert job.plan["left_out"]["columns"] == {"price": 5}
    assert logged(job) == {"created": 2, "updated": 1}


@pytest.mark.parametrize("empty", ["null", "default", "keep"])
def test_a_left_out_column_is_left_alone_whatever_empty_cells_mean(choose, goods, empty):
    choose({"columns": ["price"]}, empty=empty)

    assert [price for _, price in goods().values()][:5] == [10, 5, 20, 10, 2]


def test_new_rows_without_a_required_column_are_refused_and_known_ones_go_in(importing, choose, goods):
    job = choose({"columns": ["name"]})

    reasons = dict(rejects(importing, job))
    assert reasons["B"] == "name: left out"
    assert "a new row needs a value for name" in reasons["F"]
    assert set(reasons) == {"B", "F", "G"}
    assert goods()["C"] == ("Cake", 7.6)
    assert goods()["B"] == ("Bun", 5)


def test_only_new_rows_go_in_where_the_other_kinds_are_left_out(importing, choose, goods):
    job = choose({"kinds": ["updated", "removed"]}, mode="sync", max_removed="100%")

    assert list(goods()) == ["A", "B", "C", "D", "E", "F", "G", "X", "Y"]
    assert rejects(importing, job) == [
        *((code, "left out, as all rows that would be updated") for code in "BCDE"),
        *((code, "left out, as all rows that would be removed") for code in "XY"),
    ]
    assert (job.result.created, job.result.updated, job.result.removed, job.result.unchanged) == (2, 0, 0, 1)
    assert logged(job) == {"created": 2}
    assert job.result.progress == 1.0


def test_keys_and_lines_are_left_out_of_what_is_made_changed_and_removed(importing, choose, goods):
    job = choose({"keys": ["X", "C"], "lines": [7]}, mode="sync", max_removed="100%")

    assert list(goods()) == ["A", "B", "C", "D", "E", "G", "X"]
    assert goods()["C"] == ("Cake", 20)
    assert rejects(importing, job) == [
        ("C", "left out by its key"),
        ("F", "left out by its line"),
        ("X", "left out by its key"),
    ]
    assert (job.result.removed, logged(job)) == (1, {"created": 1, "updated": 3, "removed": 1})
    lines = [row["reject_line"] for row in csv.DictReader(importing.rejects(job.result))]
    assert lines == ["4", "7", ""]


def test_rows_that_would_be_marked_stay_by_kind_and_by_key(choose, goods, run_sql):
    marking = {"mode": "sync", "max_removed": "100%", "missing": {"mark": {"name": "gone"}}}

    choose({"keys": ["Y"]}, **marking)
    assert (goods()["X"], goods()["Y"]) == (("gone", 9), ("Yam", 8))
    run_sql("UPDATE goods SET name = 'Xylitol' WHERE code = 'X'")
    choose({"kinds": ["removed"]}, **marking)
    assert goods()["X"] == ("Xylitol", 9)


def test_left_out_rows_are_no_bad_ones(choose, goods):
    bad = FILE + "H,Honey,much\n"
    job = choose({"kinds": ["updated"], "columns": ["price"]}, bad, max_rejects=1)

    assert job.result.rejected == 1 + 4 + 2
    with pytest.raises(TooManyRejects):
        choose({"kinds": ["updated"]}, bad, max_rejects=0)


def test_a_row_that_is_bad_by_itself_keeps_its_own_reason(importing, choose, goods):
    job = choose({"kinds": ["created"]}, FILE + "F,Fog,8\nH,Honey,much\n")

    reasons = dict(rejects(importing, job))
    assert reasons["H"].startswith("price: ")
    assert reasons["F"].startswith("key code=F is already on line 7")


@pytest.mark.parametrize("at", range(1, 5))
def test_what_is_left_out_survives_a_kill_wherever_it_hits(importing, goods, at):
    wish = {"keys": ["C", "X"], "rules": [{"column": "price", "change_percent_above": 50}], "columns": ["name"]}
    context = {"mode": "sync", "max_removed": "100%"}
    died = broken_off(importing, confirmed(importing, wish, **context), at)

    assert rejects(importing, died) == [
        ("B", "name: left out"),
        ("C", "left out by its key"),
        ("D", "left out: price rises by 300 %"),
        *(
            (code, f"name: left out; key code={code} is not in goods, and a new row needs a value for name")
            for code in "FG"
        ),
        ("X", "left out by its key"),
    ]
    assert goods() == {
        "A": ("Apple", 10),
        "B": ("Bun", 5),
        "C": ("Cake", 20),
        "D": ("Date", 10),
        "E": ("Egg", None),
        "X": ("Xylitol", 9),
    }
    assert (died.result.updated, died.result.removed) == (1, 1)


def test_by_several_files_a_line_is_of_one(importing, goods):
    keys = [importing.put("code,name\nA,Ant\n", "one.csv"), importing.put("code,name\nB,Bee\n", "two.csv")]
    job = importing.job_of(importing.strategy.Context(file_key=keys, table="goods", mode="upsert"))
    hooks.pre_process(importing.strategy, job)

    def check(line: Any) -> None:
        importing.strategy.check_leave_out(LeaveOut.of({"lines": [line]}), job.id, job.plan, job.files)

    with pytest.raises(LeaveOutRefused, match="line 2, and there are 2 files: give"):
        check(2)
    check({"file": "two.csv", "line": 2})
    job.plan[WISH] = {"lines": [{"file": "two.csv", "line": 2}]}
    hooks.process(importing.strategy, job)
    assert (goods()["A"][0], goods()["B"][0]) == ("Ant", "Bun")


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"columns": ["prize"]}, "leave_out names prize, which is not written; what is: code, name, price"),
        ({"columns": ["code"]}, "code is part of the key and cannot be left out"),
        ({"rules": [{"column": "code", "becomes_empty": True}]}, "code is part of the key"),
        ({"rules": [{"column": "name", "change_percent_below": -5}]}, "name holds no numbers, such as 'Bun'"),
        ({"keys": ["Q", "C"]}, "leave_out names Q, and no change of this job is there"),
        ({"keys": ["A"]}, "no change of this job is there"),
        ({"keys": [{"name": "A"}]}, 'the key {"name": "A"}, and keys are of code'),
        ({"lines": [99]}, "leave_out names 99, and no change"),
        ({"lines": [{"file": "other.csv", "line": 2}]}, "leave_out names the file other.csv; the job has"),
        ({"kinds": ["moved"]}, "leave_out kinds.0: "),
        ({"rules": [{"column": "price"}]}, "needs change_percent_below, change_percent_above or becomes_empty"),
        ({"rows": [1]}, "leave_out rows: "),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(importing, goods, wish, message):
    with pytest.raises(LeaveOutRefused) as refused:
        confirmed(importing, wish)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_rows_without_a_key_are_left_out_by_their_lines(importing, choose, run_sql):
    run_sql("CREATE TABLE notes (name TEXT, price INTEGER)")
    with pytest.raises(LeaveOutRefused, match="the rows of this job have none; leave lines out"):
        confirmed(importing, {"keys": ["a"]}, "name,price\na,1\nb,2\n", table="notes", mode="append")

    choose({"lines": [2]}, "name,price\na,1\nb,2\n", table="notes", mode="append")
    assert run_sql("SELECT * FROM notes") == [("b", 2)]


def test_a_key_of_several_columns_is_named_whole(importing, choose, run_sql):
    run_sql("CREATE TABLE stocks (code TEXT, place INTEGER, n INTEGER, PRIMARY KEY (code, place))")
    content = "code,place,n\na,1,1\na,2,2\nb,1,3\n"
    for number, key in enumerate([{"place": 2, "code": "a"}, ["a", "2"]]):
        run_sql("DELETE FROM stocks")
        choose({"keys": [key]}, content, table="stocks")
        assert run_sql("SELECT code, place FROM stocks ORDER BY 1, 2") == [("a", 1), ("b", 1)], number


def test_a_new_table_is_made_whole_and_filled_without_what_is_left_out(choose, run_sql):
    choose({"columns": ["price"], "keys": ["B"]}, table="fresh", key=["code"])

    assert run_sql("SELECT code, name, price FROM fresh ORDER BY code")[:2] == [
        ("A", "Apple", None),
        ("C", "Cake", None),
    ]


@pytest.mark.parametrize("mode", ["insert", "upsert", "update", "sync", "append"])
def test_in_every_mode_what_is_left_out_is_as_it_was(importing, choose, goods, mode):
    before = goods()
    content = FILE if mode in ("upsert", "sync") else FILE.splitlines()[0] + "\nF,Fig,3\nG,Grape,4\n"
    if mode == "update":
        content = FILE.partition("F,")[0]
    kinds = {"kinds": ["created", "updated", "removed"]}
    context = {"mode": mode} | ({"max_removed": "100%"} if mode == "sync" else {})

    job = choose(kinds, content, **context)

    assert goods() == before
    assert logged(job) == {}
    assert (job.result.created, job.result.updated, job.result.removed) == (0, 0, 0)
    assert job.result.rejected == job.plan["left_out"]["rows"] == len(rejects(importing, job)) > 0


def test_no_rule_compares_what_is_not_kept(importing, goods):
    importing.changes = ChangeOptions(hidden=("price",), secret=b"secret")
    with pytest.raises(LeaveOutRefused, match=r"the values of price are not kept \(CHANGES_HIDE\)"):
        confirmed(importing, {"rules": [{"column": "price", "change_percent_below": -50}]})
    confirmed(importing, {"columns": ["price"], "rules": [{"column": "price", "becomes_empty": True}]})


ROWS_OF_A_TABLE = st.dictionaries(
    st.sampled_from("ABCDEFGH"), st.one_of(st.none(), st.integers(0, 40)), min_size=1, max_size=8
)


@pytest.mark.parametrize("target_url", ["sqlite"], indirect=True)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    there=ROWS_OF_A_TABLE,
    file=ROWS_OF_A_TABLE,
    kinds=st.sets(st.sampled_from(["created", "updated", "removed"]), max_size=2),
    keys=st.sets(st.sampled_from("ABCDEFGH"), max_size=3),
    below=st.one_of(st.none(), st.integers(-100, 0)),
    chunk_size=st.integers(1, 5),
)
def test_the_table_is_what_a_plain_evaluation_makes_of_the_changes_that_are_left(
    importing, run_sql, there, file, kinds, keys, below, chunk_size
):
    run_sql("DROP TABLE IF EXISTS stocks")
    run_sql("CREATE TABLE stocks (code VARCHAR(9) PRIMARY KEY, n INTEGER)")
    for code, number in there.items():
        run_sql(f"INSERT INTO stocks VALUES ('{code}', {'NULL' if number is None else number})")
    changing = {code for code in file if code not in there or file[code] != there[code]} | (set(there) - set(file))
    wish: dict[str, Any] = {"kinds": sorted(kinds), "keys": sorted(keys & changing)}
    wish["rules"] = [] if below is None else [{"column": "n", "change_percent_below": below}]

    expected = dict(there)
    for code in changing - keys:
        old, new = there.get(code), file.get(code)
        kind = "removed" if code not in file else "updated" if code in there else "created"
        falls = below is not None and kind == "updated" and old and new is not None and (new - old) * 100 / old < below
        if kind in kinds or falls:
            continue
        if kind == "removed":
            del expected[code]
        else:
            expected[code] = new

    importing.chunk_size = chunk_size
    content = "code,n\n" + "".join(f"{code},{'' if number is None else number}\n" for code, number in file.items())
    job = confirmed(importing, wish, content, table="stocks", mode="sync", max_removed="100%")
    hooks.process(importing.strategy, job)

    assert dict(run_sql("SELECT code, n FROM stocks")) == expected
    left_out = len(changing) - sum(job.result.model_dump()[name] for name in ("created", "updated", "removed"))
    assert job.result.rejected == left_out
