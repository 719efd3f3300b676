"""What cells become in a table, on both databases."""

import json
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.table_import import TableImport


@pytest.fixture
def on_postgresql(target: Engine) -> None:
    if target.dialect.name != "postgresql":
        pytest.skip("only PostgreSQL has such values")


def reasons(importing: Any, result: Any) -> list[str]:
    return [line.rsplit(",", 2)[-2] for line in importing.rejects(result)[1:]]


def test_A15_what_a_column_cannot_keep_exactly_is_a_reject_with_its_line(importing, run_sql):
    run_sql("CREATE TABLE t (id INTEGER, f DOUBLE PRECISION, ts TIMESTAMP, n NUMERIC(10,2))")
    content = (
        "id,f,ts,n\n1,1e400,,\n2,,2024-01-01 10:00:00.123456789,\n3,1e-400,,\n4,9007199254740993,,\n5,,,1.005\n"
        "6,0.1,2024-01-01 10:00:00.123456000,1.50\n"
    )
    result = importing(content, table="t")
    assert (result.created, result.rejected) == (1, 5)
    assert run_sql("SELECT id, f FROM t") == [(6, 0.1)]
    assert reasons(importing, result) == ["2", "3", "4", "5", "6"]
    assert "f: '1e400' is too large for a floating-point number" in importing.rejects(result)[1]


def test_A15_nan_is_kept_where_the_database_can_and_a_reject_where_it_cannot(importing, run_sql, target):
    run_sql("CREATE TABLE t (id INTEGER, f DOUBLE PRECISION, n NUMERIC)")
    result = importing("id,f,n\n1,NaN,1\n2,1,NaN\n3,1.5,2.5\n", table="t")
    if target.dialect.name == "postgresql":
        assert [tuple(map(str, row)) for row in run_sql("SELECT f, n FROM t ORDER BY id")] == [
            ("nan", "1"), ("1.0", "NaN"), ("1.5", "2.5"),
        ]  # fmt: skip
    else:
        assert (result.created, result.rejected) == (1, 2)
        assert run_sql("SELECT id FROM t") == [(3,)]


def test_A15_a_second_has_no_more_digits_than_its_column_keeps(importing, run_sql, on_postgresql):
    run_sql("CREATE TABLE t (at TIMESTAMP(0), t TIME(3), z TIMESTAMPTZ(0), i INTERVAL, tz TIMETZ)")
    good = "2024-01-01 10:00:00,10:00:00.123,2024-01-01 10:00:00Z,1 day,10:00:00.123456+01\n"
    bad = "".join(
        ",".join([*["" for _ in range(column)], cell, *["" for _ in range(4 - column)]]) + "\n"
        for column, cell in enumerate(
            [
                "2024-01-01 10:00:00.5",
                "10:00:00.1234",
                "2024-01-01 10:00:00.5Z",
                "00:00:01.1234567",
                "10:00:00.1234567+01",
            ]
        )
    )
    result = importing(f"at,t,z,i,tz\n{good}{bad}", table="t")
    assert (result.created, result.rejected) == (1, 5)
    assert all("digits of a second" in line for line in importing.rejects(result)[1:])


def test_C7_a_float_of_seventeen_digits_is_not_rounded_into_a_decimal_column(importing, run_sql):
    run_sql("CREATE TABLE t (n NUMERIC(10,2))")
    result = importing("n\n57.699999999999996\n57.7\n", table="t")
    assert (result.created, result.rejected) == (1, 1)


def test_C8_lists_of_json_go_into_array_columns(importing, run_sql, on_postgresql):
    run_sql("CREATE TABLE t (id INT PRIMARY KEY, tags TEXT[], ns INT[], grid INT[])")
    lines = [
        {"id": 1, "tags": ["a", "b c", 'd"e', None], "ns": [1, 2], "grid": [[1, 2], [3, 4]]},
        {"id": 2, "tags": [], "ns": None, "grid": None},
        {"id": 3, "tags": ["x"], "ns": ["y"], "grid": None},
        {"id": 4, "tags": ["x"], "ns": [1], "grid": [[1], [2, 3]]},
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines)
    result = importing(content, name="arrays.jsonl", table="t", mode="upsert")
    assert (result.created, result.rejected) == (2, 2)
    assert run_sql("SELECT tags, ns, grid FROM t ORDER BY id") == [
        (["a", "b c", 'd"e', None], [1, 2], [[1, 2], [3, 4]]), ([], None, None),
    ]  # fmt: skip
    assert importing(content, name="arrays.jsonl", table="t", mode="upsert").unchanged == 2


def test_D1_values_that_only_postgresql_has_come_in_as_an_export_writes_them(importing, run_sql, on_postgresql):
    run_sql(
        "CREATE TABLE t (id INT PRIMARY KEY, d DATE, n NUMERIC, n2 NUMERIC(10,2), tm TIME, at TIMESTAMP, z TIMESTAMPTZ)"
    )
    content = (
        "id,d,n,n2,tm,at,z\n1,infinity,NaN,NaN,24:00:00,infinity,-infinity\n"
        "2,0044-03-15 BC,Infinity,1.50,10:00:00,0044-03-15 10:00:00 BC,0044-03-15 10:00:00+00 BC\n"
        "3,10000-01-01,1,1,10:00:00,10000-01-01 10:00:00.5,10000-01-01 10:00:00+00\n"
        "4,-infinity,-Infinity,1,10:00:00,2024-01-01 10:00:00,2024-01-01 10:00:00+00\n"
    )
    result = importing(content, table="t", mode="upsert")
    assert (result.created, result.rejected) == (4, 0), importing.rejects(result)
    texts = "SELECT d::text, n::text, n2::text, tm::text, at::text FROM t ORDER BY id"
    assert run_sql(texts)[:2] == [
        ("infinity", "NaN", "NaN", "24:00:00", "infinity"),
        ("0044-03-15 BC", "Infinity", "1.50", "10:00:00", "0044-03-15 10:00:00 BC"),
    ]
    assert importing(content, table="t", mode="upsert").unchanged == 4


def test_D1_infinite_days_are_rejects_where_the_database_has_none(importing, run_sql, target):
    if target.dialect.name == "postgresql":
        pytest.skip("PostgreSQL has them")
    run_sql("CREATE TABLE t (d DATE)")
    result = importing("d\ninfinity\n2024-01-31\n", table="t")
    assert (result.created, result.rejected) == (1, 1)


def test_options_for_cells_are_heeded_in_a_table_that_is_there(importing, run_sql):
    run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, price NUMERIC(10,2), day DATE, note TEXT)")
    content = 'id,price,day,note\n1,"1.234,50",31.12.2024,NA\n2,"1.23,4",31.02.2024,x\n3,NA,,NAN\n'
    options = {"decimal": ",", "thousands": ".", "date_format": "%d.%m.%Y", "null_values": ["NA"]}
    result = importing(content, table="t", mode="upsert", **options)
    assert (result.created, result.rejected) == (2, 1)
    rows = run_sql("SELECT id, price, day, note FROM t ORDER BY id")
    assert [(row[0], row[1] and float(row[1]), str(row[2]), row[3]) for row in rows] == [
        (1, 1234.5, str(date(2024, 12, 31)), None), (3, None, "None", "NAN"),
    ]  # fmt: skip
    assert importing(content, table="t", mode="upsert", **options).unchanged == 2


def test_local_times_are_those_of_the_zone_that_was_given(importing, run_sql, on_postgresql):
    run_sql("CREATE TABLE t (id INT PRIMARY KEY, z TIMESTAMPTZ, at TIMESTAMP)")
    content = (
        "id,z,at\n1,2024-07-01 10:00,2024-07-01T10:00:00Z\n2,2024-03-31 02:30,\n3,2024-10-27 02:30:00,\n"
        "4,2024-07-01T10:00:00Z,2024-07-01 10:00\n"
    )
    result = importing(content, table="t", time_zone="Europe/Vienna")
    assert (result.created, result.rejected) == (2, 2)
    assert run_sql("SELECT id, (z AT TIME ZONE 'UTC')::text, at::text FROM t ORDER BY id") == [
        (1, "2024-07-01 08:00:00", "2024-07-01 12:00:00"), (4, "2024-07-01 10:00:00", "2024-07-01 10:00:00"),
    ]  # fmt: skip


def test_an_option_that_names_a_column_which_is_not_loaded_is_refused_in_one_line(importing):
    for option in ({"types": {"b": "text"}}, {"date_format": {"b": "%d.%m.%Y"}}):
        with pytest.raises(JobRefused, match="names b, which is not loaded; what is: a"):
            importing("a\n1\n", table="t", **option)


def test_lines_that_are_not_utf8_in_a_text_that_is_are_rejects_and_the_plan_says_so(importing, run_sql):
    run_sql("CREATE TABLE t (code VARCHAR(20) PRIMARY KEY, name TEXT, other TEXT)")
    good = "".join(f"{number},Größe {number},x\n" for number in range(20))
    content = b"code,name,other\n" + good.encode() + b"a,caf\xe9,x\nb,ok,\xff\n"

    job = importing.preview(content, table="t", mode="upsert", columns={"other": None})

    assert (job.plan["file"]["encoding"], job.plan["file"]["encoding_is"]) == ("utf-8", "broken")
    assert job.plan["counts"]["reject"] == 1
    (reject,) = job.plan["rejects"]
    assert (reject["line"], reject["column"]) == (22, "name")
    assert reject["message"] == "'caf\ufffd' is not UTF-8 (E9); correct it, or set the encoding"
    hooks.process(TableImport(), job)
    assert (job.result.created, job.result.rejected) == (21, 1)  # what is not loaded may be anything
    assert run_sql("SELECT name FROM t WHERE code = '7'") == [("Größe 7",)]


def test_a_key_that_cannot_be_read_removes_nothing_in_sync(importing, run_sql):
    run_sql("CREATE TABLE t (code VARCHAR(20) PRIMARY KEY, name TEXT)")
    run_sql("INSERT INTO t VALUES ('café', 'x'), ('bär', 'y')")

    with pytest.raises(JobRefused, match="1 row without a readable key, the first on line 3"):
        importing("code,name\nbär,y\n".encode() + b"caf\xe9,z\n", table="t", mode="sync", max_removed="100%")
    assert run_sql("SELECT count(*) FROM t") == [(2,)]


def test_a_line_of_json_that_is_not_utf8_is_a_reject_that_says_so(importing):
    result = importing('{"name": "Größe"}\n'.encode() + b'{"name": "caf\xe9"}\n', name="in.jsonl", table="t")

    assert (result.created, result.rejected) == (1, 1)
    assert "is not UTF-8 (E9)" in importing.rejects(result)[1]
