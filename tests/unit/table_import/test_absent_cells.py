"""A key that an object of JSON lines lacks leaves the column as it is; a null empties it."""

import pytest

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.table_import import TableImport


@pytest.fixture
def pairs(run_sql):
    run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT DEFAULT 'of the table')")
    run_sql("INSERT INTO t VALUES (1, 'a1', 'b1'), (2, 'a2', 'b2'), (3, 'a3', 'b3')")
    return lambda: run_sql("SELECT * FROM t ORDER BY id")


PARTIAL = '{"id":1,"a":"new"}\n{"id":2,"b":"new"}\n{"id":3,"a":null}\n{"id":4,"a":"four"}\n{"id":5}\n'


@pytest.mark.parametrize("chunk_size", [1, 2, 100])
def test_A8_an_upsert_leaves_what_an_object_does_not_name(importing, pairs, chunk_size):
    importing.chunk_size = chunk_size
    job = importing.preview(PARTIAL, name="in.jsonl", table="t", mode="upsert")
    assert job.plan["counts"] == {"create": 2, "update": 3, "unchanged": 0, "remove": 0, "reject": 0}
    assert job.plan["columns"] == {"a": {"changed": 2, "emptied": 1}, "b": {"changed": 1, "emptied": 0}}

    hooks.process(TableImport(), job)

    assert (job.result.created, job.result.updated, job.result.unchanged) == (2, 3, 0)
    assert pairs() == [
        (1, "new", "b1"),
        (2, "a2", "new"),
        (3, None, "b3"),
        (4, "four", "of the table"),
        (5, None, "of the table"),
    ]
    again = importing(PARTIAL, name="in.jsonl", table="t", mode="upsert")
    assert (again.unchanged, again.updated) == (5, 0)


def test_A8_an_update_leaves_it_too_and_rejects_come_by_their_lines(importing, pairs):
    result = importing(PARTIAL, name="in.jsonl", table="t", mode="update")

    assert (result.updated, result.rejected) == (3, 2)
    assert sorted(line.split(",")[-2:] for line in importing.rejects(result)[1:]) == [
        ["4", "key id=4 is not in t"],
        ["5", "key id=5 is not in t"],
    ]
    assert pairs() == [(1, "new", "b1"), (2, "a2", "new"), (3, None, "b3")]


@pytest.mark.parametrize("mode", ["append", "insert"])
def test_A8_a_new_row_gets_the_default_of_what_it_lacks(importing, pairs, mode):
    content = '{"id":6,"a":"x","b":null}\n{"id":7,"a":"y"}\n{"id":8,"b":"z"}\n'

    assert importing(content, name="in.jsonl", table="t", mode=mode).created == 3
    assert pairs()[3:] == [(6, "x", None), (7, "y", "of the table"), (8, None, "z")]


def test_A8_C15_a_column_that_new_rows_need_may_be_absent_of_known_ones(importing, run_sql):
    run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL, n INTEGER)")
    run_sql("INSERT INTO t VALUES (1, 'one', 1)")
    content = '{"id":1,"n":5}\n{"id":2,"n":6}\n{"id":3,"name":"three","n":7}\n{"id":4,"name":null}\n'

    job = importing.preview(content, name="in.jsonl", table="t", mode="upsert")
    assert job.plan["counts"] == {"create": 1, "update": 1, "unchanged": 0, "remove": 0, "reject": 2}
    hooks.process(TableImport(), job)

    assert (job.result.created, job.result.updated, job.result.rejected) == (1, 1, 2)
    assert run_sql("SELECT * FROM t ORDER BY id") == [(1, "one", 5), (3, "three", 7)]
    reasons = [line.split(",2,", 1)[-1] for line in importing.rejects(job.result)[1:]]
    assert "a new row needs a value for name" in reasons[0]


@pytest.mark.parametrize("mode", ["append", "insert"])
def test_A8_a_new_row_without_what_it_needs_is_a_reject(importing, run_sql, mode):
    run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    content = '{"id":1,"name":"one"}\n{"id":2}\n'

    job = importing.preview(content, name="in.jsonl", table="t", mode=mode)
    assert job.plan["counts"]["reject"] == 1
    hooks.process(TableImport(), job)

    assert (job.result.created, job.result.rejected) == (1, 1)
    assert "a new row needs a value for name" in importing.rejects(job.result)[1]


def test_with_empty_default_a_known_row_gets_the_default_too(importing, pairs):
    content = '{"id":1,"a":"new"}\n{"id":2,"b":"new"}\n{"id":4,"a":"four"}\n'
    job = importing.preview(content, name="in.jsonl", table="t", mode="upsert", empty="default")
    assert job.plan["columns"] == {"a": {"changed": 2, "emptied": 1}, "b": {"changed": 2, "emptied": 0}}
    assert ("b", "b1", "of the table") in [
        (change["column"], change["before"], change["after"]) for change in job.plan["sample"]
    ]

    hooks.process(TableImport(), job)

    assert (job.result.created, job.result.updated) == (1, 2)
    assert pairs() == [
        (1, "new", "of the table"),
        (2, None, "new"),
        (3, "a3", "b3"),
        (4, "four", "of the table"),
    ]
    assert importing(content, name="in.jsonl", table="t", mode="upsert", empty="default").unchanged == 3
