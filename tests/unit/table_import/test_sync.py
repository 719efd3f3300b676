"""``sync`` makes the table, or a part of it, what the file says; it never removes more than can be meant."""

import json

import pytest

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import ContextRefused, JobRefused
from batch_jobs.strategies.table_import import TableImport


class Died(Exception):
    """Stands for a process that dies."""


@pytest.fixture
def items(run_sql):
    run_sql("CREATE TABLE items (code VARCHAR(20) PRIMARY KEY, region TEXT, n INTEGER, active BOOLEAN DEFAULT TRUE)")
    for number in range(10):
        region = "EU" if number < 6 else "US"
        run_sql(f"INSERT INTO items (code, region, n) VALUES ('K{number}', '{region}', {number})")
    return lambda: [row[0] for row in run_sql("SELECT code FROM items ORDER BY code")]


def content(*numbers: int) -> str:
    return "code,region,n\n" + "".join(f"K{number},EU,{number}\n" for number in numbers)


def test_rows_that_are_not_in_the_file_are_deleted_and_counted(importing, items):
    job = importing.preview(content(0, 1, 2, 3, 4, 5, 77), table="items", mode="sync", max_removed="50%")
    assert job.plan["counts"] == {"create": 1, "update": 0, "unchanged": 6, "remove": 4, "reject": 0}
    assert job.plan["removed"] == [{"code": f"K{number}"} for number in (6, 7, 8, 9)]
    assert any("4 rows not in the file will be deleted" in entry.message for entry in job.result.stat_descriptors)
    assert len(items()) == 10

    hooks.process(TableImport(), job)
    hooks.post_process(TableImport(), job)

    assert (job.result.created, job.result.unchanged, job.result.removed) == (1, 6, 4)
    assert items() == ["K0", "K1", "K2", "K3", "K4", "K5", "K77"]
    assert job.result.advancement_count == job.result.count == 11
    assert job.result.progress == 1.0


def test_a_second_sync_of_the_same_file_changes_nothing(importing, items):
    importing(content(*range(6)), table="items", mode="sync", max_removed=4)

    result = importing(content(*range(6)), table="items", mode="sync")

    assert (result.created, result.updated, result.unchanged, result.removed) == (0, 0, 6, 0)


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ({"region": "EU"}, "0 1 6 7 8 9"),
        ({"region": ["US", "none"]}, "0 1 2 3 4 5"),
        ({"region": ["EU"], "n": [2, 3, 9]}, "0 1 4 5 6 7 8 9"),
        ({"region": []}, "0 1 2 3 4 5 6 7 8 9"),
        ({"active": False}, "0 1 2 3 4 5 6 7 8 9"),
        ({"active": True, "n": 5}, "0 1 2 3 4 6 7 8 9"),
        ({"region": None}, "0 1 2 3 4 5 6 7 8 9"),
        ({"region": "x' OR '1'='1"}, "0 1 2 3 4 5 6 7 8 9"),
    ],
)
def test_where_bounds_the_rows_that_it_is_about(importing, items, where, left):
    importing(content(0, 1), table="items", mode="sync", where=where, max_removed="100%")

    assert items() == [f"K{number}" for number in left.split()]


def test_where_finds_rows_without_a_value(importing, items, run_sql):
    run_sql("UPDATE items SET region = NULL WHERE n = 9")

    assert importing(content(0), table="items", mode="sync", where={"region": [None]}, max_removed=1).removed == 1
    assert "K9" not in items()


def test_missing_rows_are_marked_once_and_stay(importing, items, run_sql):
    context = {"table": "items", "mode": "sync", "missing": {"mark": {"active": False, "region": "it's gone"}}}
    first = importing(content(*range(8)), **context, max_removed=2)
    second = importing(content(*range(8)), **context, max_removed=0)

    assert (first.removed, second.removed) == (2, 0)
    assert len(items()) == 10
    assert run_sql("SELECT code FROM items WHERE NOT active AND region = 'it''s gone' ORDER BY code") == [
        ("K8",),
        ("K9",),
    ]


def test_more_than_a_tenth_is_refused_before_anything_is_written(importing, items):
    told = r"2 rows of 10 are not in the file.*max_removed allows 1; nothing was removed"
    with pytest.raises(JobRefused, match=told):
        importing(content(*range(8), 99), table="items", mode="sync")
    assert len(items()) == 10
    assert importing.jobs[-1].plan["counts"]["remove"] == 2
    assert importing.jobs[-1].plan["removed"] == [{"code": "K8"}, {"code": "K9"}]

    assert importing(content(*range(9)), table="items", mode="sync").removed == 1


@pytest.mark.parametrize("max_removed", ["100%", 1000])
def test_an_empty_file_never_empties_a_table(importing, items, max_removed):
    with pytest.raises(JobRefused, match="the file has no rows, and 10 rows would be removed for it"):
        importing("code,region,n\n", table="items", mode="sync", max_removed=max_removed)
    assert len(items()) == 10


def test_a_rejected_row_of_the_file_is_not_missing(importing, items):
    result = importing(content(*range(9)) + "K9,EU,many\n", table="items", mode="sync", max_removed=0)

    assert (result.unchanged, result.updated, result.rejected, result.removed) == (6, 3, 1, 0)
    assert len(items()) == 10


def test_nothing_is_removed_for_a_row_whose_key_cannot_be_read(importing, items):
    with pytest.raises(JobRefused, match="1 row without a readable key, the first on line 11, so that nobody knows"):
        importing(content(*range(9)) + ",EU,9\n", table="items", mode="sync")
    assert len(items()) == 10

    complete = importing(content(*range(10)) + ",EU,9\n", table="items", mode="sync")
    assert (complete.rejected, complete.removed) == (1, 0)


@pytest.mark.parametrize("chunks_before_death", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("missing", ["delete", {"mark": {"active": False}}])
def test_a_sync_that_died_ends_as_one_that_did_not(
    importing, items, run_sql, missing, chunks_before_death, monkeypatch
):
    job = importing.preview(content(0, 1, 2, 50), table="items", mode="sync", max_removed="70%", missing=missing)
    original, committed = type(job).chunk, []

    def dying(self, cursor):
        if len(committed) == chunks_before_death:
            raise Died
        committed.append(cursor)
        return original(self, cursor)

    with monkeypatch.context() as patch:
        patch.setattr(type(job), "chunk", dying)
        with pytest.raises(Died):
            hooks.process(TableImport(), job)
    retried = importing.again(job)
    hooks.pre_process(TableImport(), retried)
    hooks.process(TableImport(), retried)

    told = retried.result
    assert (told.created, told.unchanged, told.removed) == (1, 3, 7)
    assert told.advancement_count == told.count == 11
    left = run_sql("SELECT code FROM items WHERE active ORDER BY code")
    assert left == [("K0",), ("K1",), ("K2",), ("K50",)]


def test_rows_that_came_since_the_preview_are_not_removed_beyond_what_was_allowed(importing, items, run_sql):
    job = importing.preview(content(*range(9)), table="items", mode="sync")
    run_sql("INSERT INTO items (code) VALUES ('NEW')")

    with pytest.raises(JobRefused, match="max_removed allows 1; nothing was removed"):
        hooks.process(TableImport(), job)
    assert len(items()) == 11


def test_a_row_that_others_need_is_not_removed_and_that_is_said(importing, items, run_sql):
    run_sql("CREATE TABLE orders (code VARCHAR(20) REFERENCES items (code))")
    run_sql("INSERT INTO orders VALUES ('K9')")

    with pytest.raises(JobRefused, match=r"rows that are not in the file cannot be removed: .*(?i:foreign key)"):
        importing(content(*range(9)), table="items", mode="sync")
    assert len(items()) == 10


def test_a_row_without_a_key_is_never_missing(importing, run_sql):
    run_sql("CREATE TABLE t (code TEXT UNIQUE, n INTEGER)")
    run_sql("INSERT INTO t VALUES (NULL, 1), ('A', 2), ('B', 3)")

    assert importing("code,n\nA,2\n", table="t", mode="sync", key=["code"], max_removed=1).removed == 1
    assert run_sql("SELECT n FROM t ORDER BY n") == [(1,), (2,)]


def test_keys_of_several_columns_and_kinds(importing, run_sql):
    run_sql("CREATE TABLE t (day DATE, rate DOUBLE PRECISION, name TEXT, PRIMARY KEY (day, rate, name))")
    run_sql("INSERT INTO t VALUES ('2024-02-29', 0.1, 'a,b'), ('2024-02-29', 0.1, 'c\"'), ('2024-02-29', 1e-7, '')")

    result = importing('day,rate,name\n2024-02-29,0.1,"a,b"\n', table="t", mode="sync", max_removed=2)

    assert (result.unchanged, result.removed) == (1, 2)
    assert [row[2] for row in run_sql("SELECT * FROM t")] == ["a,b"]


def test_into_a_table_that_is_not_there_it_is_an_upsert(importing):
    result = importing(content(1, 2), table="fresh", mode="sync", key=["code"])

    assert (result.created, result.removed) == (2, 0)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"where": {"colour": "red"}}, "items has no column colour, which missing or where names; it has: code"),
        ({"missing": {"mark": {"colour": "red"}}}, "items has no column colour"),
        ({"missing": {"mark": {"code": "gone"}}}, "missing would change code, which is part of the key"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(importing, items, context, message):
    with pytest.raises(JobRefused, match=message):
        importing(content(1), table="items", mode="sync", **context)


def test_a_value_that_a_column_cannot_have_is_refused(importing, items, target):
    if target.dialect.name == "sqlite":
        pytest.skip("SQLite compares anything")
    with pytest.raises(JobRefused, match=r"missing or where: .*integer"):
        importing(content(1), table="items", mode="sync", where={"n": "many"})


@pytest.mark.parametrize("given", [{"where": {"region": "EU"}}, {"max_removed": 1}, {"missing": {"mark": {"n": 1}}}])
def test_what_only_sync_heeds_is_refused_elsewhere(importing, items, given):
    with pytest.raises(ContextRefused, match="missing, where and max_removed are for mode sync"):
        importing(content(1), table="items", mode="upsert", **given)


@pytest.mark.parametrize("wrong", ["ten", "10", "-1%", -1])
def test_max_removed_is_a_number_or_a_share(importing, wrong):
    if wrong == "10":
        assert TableImport.Context(file_key="f", table="t", max_removed=wrong).most_removed(0) == 10
        return
    with pytest.raises(ValueError, match="max_removed"):
        TableImport.Context(file_key="f", table="t", max_removed=wrong)


def test_update_changes_what_is_there_and_rejects_the_rest(importing, items, run_sql):
    job = importing.preview("code,n\nK0,0\nK1,100\nNEW,1\nK1,5\n", table="items", mode="update")
    assert job.plan["counts"] == {"create": 0, "update": 1, "unchanged": 1, "remove": 0, "reject": 2}
    assert json.loads(json.dumps(job.plan["rejects"])) == [
        {"line": 4, "column": None, "message": "key code=NEW is not in items"},
        {"line": 5, "column": None, "message": "key code=K1 is already on line 3"},
    ]

    hooks.process(TableImport(), job)

    assert (job.result.created, job.result.updated, job.result.unchanged, job.result.rejected) == (0, 1, 1, 2)
    assert run_sql("SELECT n FROM items WHERE code = 'K1'") == [(100,)]
    assert len(items()) == 10


def test_update_of_an_empty_table_rejects_every_row(importing, items, run_sql):
    run_sql("DELETE FROM items")

    result = importing("code,n\nK0,0\n", table="items", mode="update")

    assert (result.updated, result.rejected) == (0, 1)
