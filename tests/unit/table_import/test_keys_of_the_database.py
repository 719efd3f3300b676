"""Keys are compared as the database compares them: in the file, and with those of the table."""

from collections.abc import Callable

import pytest
from sqlalchemy.exc import NotSupportedError, OperationalError

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.table_import import TableImport

CASE_INSENSITIVE = (
    "CREATE COLLATION lenient (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    "CREATE TABLE t (k text COLLATE lenient PRIMARY KEY, v text)",
)
KEYED = "CREATE TABLE t (k {} PRIMARY KEY, v text)"
ON_POSTGRES = {
    "inet": (("CREATE TABLE t (k inet PRIMARY KEY, v text)",), "10.0.0.1", "10.0.0.1/32"),
    "char": (("CREATE TABLE t (k char(5) PRIMARY KEY, v text)",), "ab", '"ab "'),
    "interval": (("CREATE TABLE t (k interval PRIMARY KEY, v text)",), "1 day", "24:00"),
    "numeric": (("CREATE TABLE t (k numeric PRIMARY KEY, v text)",), "1.50", "1.5"),
    "numeric(6,3)": (("CREATE TABLE t (k numeric(6,3) PRIMARY KEY, v text)",), "1.50", "1.5"),
    "double": (("CREATE TABLE t (k double precision PRIMARY KEY, v text)",), "0", "-0"),
    "real": (("CREATE TABLE t (k real PRIMARY KEY, v text)",), "0.1", "0.10000000149011612"),
    "jsonb": (("CREATE TABLE t (k jsonb PRIMARY KEY, v text)",), "1.0", "1.00"),
    "collation": (CASE_INSENSITIVE, "abc", "ABC"),
    "collation of varchar": ((CASE_INSENSITIVE[0], KEYED.format("varchar(5) COLLATE lenient")), "abc", "ABC"),
    "collation of text[]": ((CASE_INSENSITIVE[0], KEYED.format("text[] COLLATE lenient")), "{abc}", "{ABC}"),
    "collation of a domain": (
        (CASE_INSENSITIVE[0], "CREATE DOMAIN d AS text COLLATE lenient", KEYED.format("d")),
        "abc",
        "ABC",
    ),
    "citext": (("CREATE EXTENSION citext", KEYED.format("citext")), "Ab", "aB"),
    "citext[]": (("CREATE EXTENSION citext", KEYED.format("citext[]")), "{Ab}", "{aB}"),
    "domain of citext": (("CREATE EXTENSION citext", "CREATE DOMAIN d AS citext", KEYED.format("d")), "Ab", "aB"),
    "hstore": (("CREATE EXTENSION hstore", KEYED.format("hstore")), '"""a""=>1, ""b""=>2"', '"""b""=>2,""a""=>1"'),
    "ltree": (("CREATE EXTENSION ltree", KEYED.format("ltree")), "a.b", "a.b"),
    "cidr": ((KEYED.format("cidr"),), "10.0.0.0/8", "10/8"),
    "macaddr": ((KEYED.format("macaddr"),), "08:00:2b:01:02:03", "08-00-2B-01-02-03"),
    "range": ((KEYED.format("int4range"),), '"[1,4]"', '"[1,5)"'),
    "range of decimals": ((KEYED.format("numrange"),), '"[1.0,2)"', '"[1,2.00)"'),
    "bit": ((KEYED.format("bit(4)"),), "0101", "0101"),
    "enum": (("CREATE TYPE mood AS ENUM ('a')", KEYED.format("mood")), "a", "a"),
    "domain of enum": (("CREATE TYPE mood AS ENUM ('a')", "CREATE DOMAIN d AS mood", KEYED.format("d")), "a", "a"),
    "domain of numeric": (("CREATE DOMAIN d AS numeric", KEYED.format("d")), "1.50", "1.5"),
    "numeric[]": ((KEYED.format("numeric[]"),), "{1.50}", "{1.5}"),
    "interval[]": ((KEYED.format("interval[]"),), "{1 day}", "{24:00}"),
    "money": ((KEYED.format("money"),), "1.50", "$1.5"),
    "two columns": (
        ("CREATE TABLE t (k inet, b int, v text, PRIMARY KEY (k, b))", "ALTER TABLE t ALTER b SET DEFAULT 1"),
        "10.0.0.1,1",
        "10.0.0.1/32,1",
    ),
}
ON_SQLITE = {
    "nocase": (("CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, v TEXT)",), "abc", "ABC"),
    "rtrim": (("CREATE TABLE t (k TEXT COLLATE RTRIM PRIMARY KEY, v TEXT)",), "ab", '"ab "'),
    "nocase index": (
        ("CREATE TABLE t (k TEXT, v TEXT)", "CREATE UNIQUE INDEX k ON t (k COLLATE NOCASE)"),
        "abc",
        "ABC",
    ),
    "real": (("CREATE TABLE t (k REAL PRIMARY KEY, v TEXT)",), "0", "-0.0"),
}


def cases() -> list[object]:
    given = [("postgres", name, *case) for name, case in ON_POSTGRES.items()]
    given += [("sqlite", name, *case) for name, case in ON_SQLITE.items()]
    return [pytest.param(*case, id=f"{case[0]} {case[1]}") for case in given]


on_postgresql = pytest.mark.parametrize("target_url", ["postgres"], indirect=True)
on_sqlite = pytest.mark.parametrize("target_url", ["sqlite"], indirect=True)


def make(run_sql: Callable[[str], object], *statements: str) -> None:
    for statement in statements:
        try:
            run_sql(statement)
        except (NotSupportedError, OperationalError) as error:
            pytest.skip(f"this PostgreSQL lacks it: {str(error.orig).splitlines()[0]}")


@pytest.mark.parametrize("mode", ["insert", "upsert", "sync"])
@pytest.mark.parametrize(("target_url", "name", "statements", "one", "same"), cases(), indirect=["target_url"])
def test_A6_A6b_C4_of_keys_equal_to_the_database_the_first_goes_in(
    importing, run_sql, mode, name, statements, one, same
):
    make(run_sql, *statements)
    columns, key = ("k,b,v", ["k", "b"]) if name == "two columns" else ("k,v", ["k"])
    job = importing.preview(f"{columns}\n{one},x\n{same},y\n", table="t", mode=mode, key=key)
    assert job.plan["counts"] == {"create": 1, "update": 0, "unchanged": 0, "remove": 0, "reject": 1}

    hooks.process(TableImport(), job)

    assert (job.result.created, job.result.updated, job.result.rejected) == (1, 0, 1)
    assert run_sql("SELECT v FROM t") == [("x",)]
    (reject,) = importing.rejects(job.result)[1:]
    assert ",3," in reject
    assert "is already on line 2" in reject


@pytest.mark.long
@pytest.mark.parametrize(("target_url", "name", "statements", "one", "same"), cases(), indirect=["target_url"])
def test_C4_a_key_equal_to_one_of_the_table_is_that_row(importing, run_sql, name, statements, one, same):
    make(run_sql, *statements)
    columns, key = ("k,b,v", ["k", "b"]) if name == "two columns" else ("k,v", ["k"])
    assert importing(f"{columns}\n{one},x\n", table="t", mode="upsert", key=key).created == 1

    for mode, cell, value in (("upsert", same, "y"), ("update", one, "z"), ("sync", same, "x"), ("insert", same, None)):
        job = importing.preview(f"{columns}\n{cell},{value}\n", table="t", mode=mode, key=key)
        counts = (0, 1, 0) if value else (0, 0, 1)
        assert tuple(job.plan["counts"][name] for name in ("create", "update", "reject")) == counts, mode
        hooks.process(TableImport(), job)

        assert (job.result.created, job.result.updated, job.result.rejected) == counts, mode
        assert run_sql("SELECT v FROM t") == [(value or "x",)]


def test_a_change_of_case_alone_is_written_though_the_collation_takes_it_for_equal(importing, run_sql, target):
    if target.dialect.name == "sqlite":
        run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE)")
    else:
        make(run_sql, CASE_INSENSITIVE[0], "CREATE TABLE t (id int PRIMARY KEY, v text COLLATE lenient)")
    run_sql("INSERT INTO t VALUES (1, 'abc')")

    assert importing("id,v\n1,ABC\n", table="t", mode="upsert").updated == 1
    assert run_sql("SELECT v FROM t") == [("ABC",)]


@on_postgresql
def test_C4_a_bad_key_of_such_a_type_is_a_reject_and_hinders_no_other(importing, run_sql):
    run_sql("CREATE TABLE t (k inet PRIMARY KEY, v text)")

    result = importing("k,v\nnowhere,x\n10.0.0.1,y\n", table="t", mode="upsert")

    assert (result.created, result.rejected) == (1, 1)


@on_sqlite
def test_C6_a_unique_column_of_sqlite_is_found_wherever_it_is_declared(importing, run_sql):
    run_sql(
        'CREATE TABLE t ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "slug" varchar(50) NOT NULL UNIQUE, "v" text)'
    )

    assert importing("slug,v\na,x\n", table="t", mode="upsert", key=["slug"]).created == 1
    assert importing("slug,v\na,y\n", table="t", mode="upsert", key=["slug"]).updated == 1


@on_postgresql
def test_a_deferrable_key_is_none_to_match_by(importing, run_sql):
    run_sql("CREATE TABLE t (k int UNIQUE DEFERRABLE, v text)")

    with pytest.raises(Exception, match="no unique index on exactly k"):
        importing("k,v\n1,x\n", table="t", mode="upsert", key=["k"])
