"""Tables that an import creates: their types, and that there is none where nothing came in."""

from typing import Any

import pytest
from sqlalchemy import Engine, inspect

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import JobRefused, StopRequested, TooManyRejects
from batch_jobs.strategies.table_import import TableImport
from support.workbooks import workbook


def columns(target: Engine) -> dict[str, str]:
    return {column["name"]: str(column["type"]) for column in inspect(target).get_columns("t")}


def has_table(target: Engine) -> bool:
    return inspect(target).has_table("t")


def test_B1_a_day_and_a_time_with_an_empty_cell_are_such(importing, target):
    importing("id,d,ts\n1,2024-02-29,2024-01-01 10:00:00\n2,,\n", table="t")
    assert {name: type.split()[0] for name, type in columns(target).items()} == {
        "id": "BIGINT", "d": "DATE", "ts": "TIMESTAMP" if target.dialect.name == "postgresql" else "DATETIME",
    }  # fmt: skip


def test_B1_our_own_template_has_a_day(importing, target):
    importing(TableImport().build_template(), table="t")
    assert columns(target)["available_from"] == "DATE"


def test_B3_numbers_come_back_as_they_were(importing, target, run_sql):
    content = (
        "f,h,x,id,at\n0.30000000000000004,.5,1e-7,1577134800018226901,2024-01-01 10:00\n"
        "1.5,0.5,123.456,1577134800018226902,2024-01-02 11:30\n"
    )
    importing(content, table="t")
    rows = run_sql("SELECT f, h, x, id FROM t ORDER BY id")
    assert [tuple(map(float, row[:3])) for row in rows] == [(0.30000000000000004, 0.5, 1e-7), (1.5, 0.5, 123.456)]
    assert [row[3] for row in rows] == [1577134800018226901, 1577134800018226902]
    assert "TEXT" not in columns(target).values()


def test_B5_the_plan_has_the_cell_that_decided_and_its_line(importing):
    job = importing.preview("d,n\n2024-01-01,1\n2024-13-01,2\n", table="t")
    assert job.plan["creates"] == [
        {"name": "d", "type": "Text", "arguments": {}, "why": "'2024-13-01' on line 3 is not a day", "item": None,
         "cell": "2024-13-01", "line": 3},
        {"name": "n", "type": "BigInteger", "arguments": {}, "why": "every value is a whole number", "item": None,
         "cell": None, "line": None},
    ]  # fmt: skip


def test_the_plan_has_the_options_that_were_given(importing):
    job = importing.preview("a;b\n1,5;x\n", table="t", delimiter=";", decimal=",", types={"b": "varchar(5)"})
    assert job.plan["options"] == {"delimiter": ";", "decimal": ",", "types": {"b": "varchar(5)"}}


def test_B6_no_table_is_left_where_every_row_is_rejected(importing, target):
    result = importing("id,lat\n1,0.5,x\n2,0.7,y\n", table="t")
    assert (result.created, result.rejected) == (0, 2)
    assert not has_table(target)


def test_B6_the_table_comes_with_the_first_row_that_is_good(importing, target, run_sql):
    importing.chunk_size = 1
    result = importing("id,name\n,a\n,b\n3,c\n4,d\n", table="t", key=["id"], mode="upsert")
    assert (result.created, result.rejected) == (2, 2)
    assert run_sql("SELECT id, name FROM t ORDER BY id") == [(3, "c"), (4, "d")]
    assert inspect(target).get_pk_constraint("t")["constrained_columns"] == ["id"]


def test_B6_no_table_is_left_by_a_job_that_fails_or_stops_before_its_first_chunk(importing, target, monkeypatch):
    with pytest.raises(TooManyRejects):
        importing("id,v\n,a\n1,b\n", table="t", key=["id"], mode="upsert", max_rejects=0)
    assert not has_table(target)

    job = importing.preview("id\n1\n2\n", table="t")
    with monkeypatch.context() as patch:
        patch.setattr("batch_jobs.strategies.tables.importing.loading.write_chunk", _stop)
        with pytest.raises(StopRequested):
            hooks.process(TableImport(), job)
    assert not has_table(target)

    again = importing.again(job)
    hooks.process(TableImport(), again)
    assert has_table(target)
    assert again.result.created == 2


def _stop(*_args: Any) -> None:
    raise StopRequested("cancel")


def test_B6_a_table_that_somebody_made_meanwhile_is_written_by_its_own_types(importing, target, run_sql):
    job = importing.preview("id,n\n1,2\n3,4\n", table="t")
    run_sql("CREATE TABLE t (id INTEGER, n TEXT)")
    hooks.process(TableImport(), job)
    assert run_sql("SELECT id, n FROM t ORDER BY id") == [(1, "2"), (3, "4")]


def test_C11_more_columns_than_a_table_takes_are_refused_before_it_is_made(importing, target):
    count = 1600 if target.dialect.name == "postgresql" else 2000
    header, row = ",".join(f"c{number}" for number in range(count)), ",".join("1" * count)
    with pytest.raises(JobRefused, match=f"the file has {count} columns"):
        importing.preview(f"{header}\n{row}\n", table="t")
    assert not has_table(target)


def test_C11_rows_that_cannot_fit_are_refused_before_a_table_is_made(importing, target, run_sql):
    header, row = ",".join(f"c{number}" for number in range(1200)), ",".join("1" * 1200)
    if target.dialect.name == "postgresql":
        with pytest.raises(JobRefused, match=r"each row needs at least 9,7.. bytes for its 1200 columns"):
            importing.preview(f"{header}\n{row}\n", table="t")
        assert not has_table(target)
        small = {f"c{number}": "smallint" for number in range(1200)}
        assert importing(f"{header}\n{row}\n", table="t", types=small).created == 1
    else:
        assert importing(f"{header}\n{row}\n", table="t").created == 1


def test_types_that_were_given_are_the_tables_and_the_plan_says_so(importing, target, run_sql):
    given = {"code": "varchar(20)", "n": "numeric(10,2)", "at": "timestamptz", "u": "uuid", "j": "json", "d": "double"}
    content = (
        "zip,n,at,u,j,d\n007,1.5,2024-01-01 10:00,A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11,\"[1]\",1\n"
        "008,1.555,2024-01-01 10:00,x,\"[\",1\n"
    )  # fmt: skip
    job = importing.preview(content, table="t", columns={"zip": "code"}, types=given, time_zone="Europe/Vienna")
    hooks.process(TableImport(), job)
    assert (job.result.created, job.result.rejected) == (1, 1)
    assert [column["why"].split(";")[0] for column in job.plan["creates"]] == ["types says so"] * 6
    types = columns(target)
    assert types["code"] == "VARCHAR(20)"
    assert types["n"] == "NUMERIC(10, 2)"
    assert types["u"] == ("UUID" if target.dialect.name == "postgresql" else "CHAR(36)")
    assert str(run_sql("SELECT u FROM t")[0][0]) == "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"


def test_a_type_that_the_database_has_not_is_refused_in_one_line(importing, target):
    if target.dialect.name == "postgresql":
        assert importing("a\n10.0.0.1\n", table="t", types={"a": "inet"}).created == 1
    else:
        with pytest.raises(JobRefused, match="sqlite has no type INET for the column a"):
            importing("a\n10.0.0.1\n", table="t", types={"a": "inet"})


def test_an_array_type_is_kept_in_the_plan(importing, target, run_sql):
    if target.dialect.name != "postgresql":
        pytest.skip("SQLite has no arrays")
    job = importing.preview('a\n"[1,2]"\n', table="t", types={"a": "integer[]"})
    assert (job.plan["creates"][0]["type"], job.plan["creates"][0]["item"]) == ("ARRAY", "Integer")
    hooks.process(TableImport(), job)
    assert run_sql("SELECT a FROM t") == [([1, 2],)]


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("31.12.2026", "; is it a day with a date_format?"),
        ("1/2/26", "; is it a day with a date_format?"),
        ("31-12-2026 10:30", "; is it a day with a date_format?"),
        ("1,50", "; is it one with decimal set to a comma?"),
        ("1.234,50", "; is it one with decimal set to a comma?"),
        ("1,500", "; is it one with decimal or thousands set to a comma?"),
        ("1,234,567.8", "; is it one with thousands set to a comma?"),
        ("1.2.3", ""),
        ("mug", ""),
    ],
)
def test_the_reason_for_text_names_the_option_that_would_read_what_looks_like_more(importing, cell, hint):
    job = importing.preview(f"n;v\n1;{cell}\n", table="t")
    assert job.plan["creates"][1]["why"] == f"{cell!r} on line 2 is not a whole number{hint}"


@pytest.mark.parametrize("target_url", ["sqlite"], indirect=True)
def test_two_columns_that_are_one_to_the_database_are_refused_with_a_way_out(importing, target):
    with pytest.raises(JobRefused, match="'Name' and 'name' are one column to sqlite; give one another name"):
        importing.preview("Name,name\n1,2\n", table="t")
    importing("Name,name,Ä,ä\n1,2,3,4\n", table="t", columns={"name": "name_2"})
    assert list(columns(target)) == ["Name", "name_2", "Ä", "ä"]


@pytest.mark.parametrize("numbers", [[1234, 56789], [56789, 10000]])
def test_numbers_that_excel_shows_with_leading_zeros_are_text_of_a_new_table(importing, target, run_sql, numbers):
    content = workbook(["zip", "n"], *([number, number] for number in numbers), formats={1: "00000", 2: "0"})

    importing(content, name="in.xlsx", table="t")

    assert columns(target) == {"zip": "TEXT", "n": "BIGINT"}
    assert run_sql("SELECT zip FROM t") == [(f"{number:05}",) for number in numbers]


def test_such_numbers_are_what_is_seen_in_a_text_column_and_numbers_in_others(importing, run_sql):
    run_sql("CREATE TABLE t (zip VARCHAR(10) PRIMARY KEY, n INTEGER, price NUMERIC(8, 2))")
    content = workbook(["zip", "n", "price"], [1234, 7, 7], formats={1: "00000", 2: "000", 3: "0000"})

    assert importing(content, name="in.xlsx", table="t", mode="upsert").created == 1
    assert importing(content, name="in.xlsx", table="t", mode="upsert").unchanged == 1
    assert run_sql("SELECT zip, n, price FROM t") == [("01234", 7, 7)]
