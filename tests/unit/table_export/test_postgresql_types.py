"""PostgreSQL's own types: read in, compared as the database compares them, exported and read back equal."""

from collections.abc import Callable
from io import BytesIO

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import NotSupportedError, OperationalError

from batch_jobs.strategies.sdk.testing import run_strategy
from batch_jobs.strategies.table_import import TableImport

pytestmark = pytest.mark.parametrize("target_url", ["postgres"], indirect=True)

LENIENT = "CREATE COLLATION lenient (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
#: By a name, what is made beforehand, the type, and literals of it.
TYPES: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "citext": (("CREATE EXTENSION citext",), "citext", ("Ab", "", "=1+1", "ünÏ", " blank ")),
    "hstore": (("CREATE EXTENSION hstore",), "hstore", ('"a"=>"1", "b"=>NULL', "", '"q\\"q, =>"=>"x\ny"')),
    "ltree": (("CREATE EXTENSION ltree",), "ltree", ("Top.Science.Astronomy", "a", "")),
    "inet": ((), "inet", ("10.0.0.1", "10.0.0.1/8", "::1", "2001:db8::/32")),
    "cidr": ((), "cidr", ("10.0.0.0/8", "10.0.0.1/32", "::/0")),
    "macaddr": ((), "macaddr", ("08:00:2b:01:02:03",)),
    "macaddr8": ((), "macaddr8", ("08:00:2b:01:02:03:04:05",)),
    "int4range": ((), "int4range", ("[1,5)", "empty", "(,)", "[3,)")),
    "numrange": ((), "numrange", ("[1.50,5.0)", "(1,2]", "empty", "(,)")),
    "tsrange": ((), "tsrange", ('["2024-01-01 00:00:00","2024-01-02 00:00:00")', "(,)", "[-infinity,infinity]")),
    "tstzrange": ((), "tstzrange", ('["2024-01-01 00:00:00+02","2024-01-02 00:00:00+00")', "empty")),
    "daterange": ((), "daterange", ("[2024-01-01,2024-02-01)", "(,)")),
    "int4multirange": ((), "int4multirange", ("{[1,5),[7,9)}", "{}")),
    "interval": (
        (),
        "interval",
        ("1 year 2 mons -3 days +04:05:06.789", "-00:00:01", "1 day", "24:00", "30:00", "178000000 years"),
    ),
    "interval day": ((), "interval day to second(2)", ("3 days 04:05:06.78",)),
    "interval(0)": ((), "interval(0)", ("1 day 04:05:06",)),
    "bit": ((), "bit(4)", ("0101", "0000")),
    "varbit": ((), "bit varying", ("0101", "", "0")),
    "bit1": ((), "bit", ("1", "0")),
    "enum": (("CREATE TYPE mood AS ENUM ('sad', 'Ok, \"fine\"', '=x', '')",), "mood", ("sad", 'Ok, "fine"', "=x", "")),
    "money": ((), "money", ("12.50", "-3")),
    "xml": ((), "xml", ("<a>1</a>", "")),
    "tsvector": ((), "tsvector", ("'a':1A 'b''c':2",)),
    "point": ((), "point", ("(1,2)", "(0.1,1e300)")),
    "polygon": ((), "polygon", ("((0,0),(1,1),(1,0))",)),
    "oid": ((), "oid", ("4294967295", "0")),
    "name": ((), "name", ("abc",)),
    '"char"': ((), '"char"', ("a", "")),
    "pg_lsn": ((), "pg_lsn", ("0/16B3748",)),
    "jsonpath": ((), "jsonpath", ("$.a",)),
    "timetz": ((), "timetz", ("04:05:06.789+02", "24:00:00-01")),
    "composite": (("CREATE TYPE pair AS (a int, b text)",), "pair", ('(1,"x,""y")', "(,)")),
    "domain of int": (("CREATE DOMAIN d AS int CHECK (VALUE > 0)",), "d", ("1", "7")),
    "domain of text": (("CREATE DOMAIN d AS text CHECK (VALUE <> 'bad')",), "d", ("", "007", "=1")),
    "domain of varchar": (("CREATE DOMAIN d AS varchar(5)",), "d", ("", "007", "=1")),
    "domain of numeric": (("CREATE DOMAIN d AS numeric(8,2)",), "d", ("1.50", "-0.01")),
    "domain of date": (("CREATE DOMAIN d AS date",), "d", ("2024-01-01",)),
    "domain of timestamptz": (("CREATE DOMAIN d AS timestamptz",), "d", ("2024-01-01 00:00:00.5+02",)),
    "domain of bool": (("CREATE DOMAIN d AS bool",), "d", ("t", "f")),
    "domain of inet": (("CREATE DOMAIN d AS inet",), "d", ("10.0.0.1",)),
    "domain of json": (("CREATE DOMAIN d AS json",), "d", ('{"a":[1,null]}', '"x"', "1.0")),
    "domain of jsonb": (("CREATE DOMAIN d AS jsonb",), "d", ('{"a": [1, null]}', '"x"', "1.0")),
    "domain of enum": (("CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE DOMAIN d AS mood"), "d", ("sad",)),
    "domain of domain": (("CREATE DOMAIN c AS int", "CREATE DOMAIN d AS c"), "d", ("1",)),
    "domain of int[]": (("CREATE DOMAIN d AS int[]",), "d", ("{1,NULL}", "{}")),
    "domain of bytea": (("CREATE DOMAIN d AS bytea",), "d", ("\\x00ff",)),
    "domain of interval": (("CREATE DOMAIN d AS interval",), "d", ("1 day",)),
    "domain of citext": (("CREATE EXTENSION citext", "CREATE DOMAIN d AS citext"), "d", ("Ab",)),
    "citext[]": (("CREATE EXTENSION citext",), "citext[]", ('{Ab,NULL,""}', "{}")),
    "hstore[]": (("CREATE EXTENSION hstore",), "hstore[]", ('{"\\"a\\"=>\\"1\\"",NULL}', "{}")),
    "ltree[]": (("CREATE EXTENSION ltree",), "ltree[]", ("{a.b,NULL}",)),
    "inet[]": ((), "inet[]", ("{10.0.0.1,::1,NULL}", "{{10.0.0.1},{10.0.0.2}}")),
    "macaddr[]": ((), "macaddr[]", ("{08:00:2b:01:02:03}",)),
    "int4range[]": ((), "int4range[]", ('{"[1,5)",empty,NULL}',)),
    "interval[]": ((), "interval[]", ('{"1 day",-00:00:01,NULL}',)),
    "bit[]": ((), "bit(4)[]", ("{0101,NULL}",)),
    "varbit[]": ((), "varbit[]", ('{0101,"",NULL}',)),
    "enum[]": (("CREATE TYPE mood AS ENUM ('sad', 'Ok, x', '')",), "mood[]", ('{sad,"Ok, x","",NULL}',)),
    "domain[]": (("CREATE DOMAIN d AS int",), "d[]", ("{1,2,NULL}",)),
    "jsonb[]": ((), "jsonb[]", ('{"{\\"a\\": 1}",NULL,"null"}',)),
    "timestamptz[]": ((), "timestamptz[]", ('{"2024-01-01 00:00:00+02",infinity}',)),
    "numeric[]": ((), "numeric(8,2)[]", ("{1.50,NULL,NaN}",)),
    "composite[]": (("CREATE TYPE pair AS (a int, b text)",), "pair[]", ('{"(1,\\"x,y\\")",NULL}',)),
    "bytea[]": ((), "bytea[]", ('{"\\\\x00ff",NULL}',)),
    "money[]": ((), "money[]", ("{12.50}",)),
    "bool[]": ((), "bool[]", ("{t,f,NULL}",)),
    "date[]": ((), "date[]", ("{2024-01-01,infinity}",)),
    "timetz[]": ((), "timetz[]", ("{04:05:06+02}",)),
    "char[]": ((), "char(3)[]", ("{a,b  }",)),
    "uuid[]": ((), "uuid[]", ("{6f1c0c55-23a4-4a0e-9f3b-35f1a1b3f4a2}",)),
    "xml[]": ((), "xml[]", ("{<a>1</a>}",)),
    "lenient": (
        (LENIENT,),
        "text COLLATE lenient",
        ("abc", "aBc", ""),
    ),
    "lenient varchar": (
        (LENIENT,),
        "varchar(9) COLLATE lenient",
        ("abc", "aBc", ""),
    ),
    "lenient[]": (
        (LENIENT,),
        "text[] COLLATE lenient",
        ("{abc,aBc}",),
    ),
}


@pytest.fixture
def made(target: Engine) -> Callable[..., None]:
    def make(*statements: str, parameters: tuple[object, ...] = ()) -> None:
        for statement in statements:
            try:
                with target.begin() as connection:
                    connection.exec_driver_sql(statement, parameters)
            except (NotSupportedError, OperationalError) as error:
                pytest.skip(f"this PostgreSQL lacks it: {str(error.orig).splitlines()[0]}")

    return make


@pytest.mark.parametrize(
    "formats", [("csv", "jsonl"), pytest.param(("tsv", "parquet", "xlsx"), marks=pytest.mark.long)]
)
@pytest.mark.parametrize("name", TYPES)
def test_values_come_back_equal_in_every_format(files, target, made, name, formats):
    before, type_name, literals = TYPES[name]
    made(
        *before,
        f"CREATE TABLE source (id int PRIMARY KEY, v {type_name})",
        f"CREATE TABLE copy (id int PRIMARY KEY, v {type_name})",
    )
    for number, literal in enumerate([*literals, None]):
        made("INSERT INTO source VALUES (%s, %s)", parameters=(number, literal))
    count = len(literals) + 1
    for file_format in formats:
        made("TRUNCATE copy")
        exported = files.export(table="source", format=file_format)
        again = files.load(exported, table="source", mode="upsert")
        copied = files.load(exported, table="copy", mode="upsert")

        assert (again.unchanged, again.updated, again.rejected) == (count, 0, 0), file_format
        assert (copied.created, copied.rejected) == (count, 0), file_format
        assert texts_of(target, "copy") == texts_of(target, "source"), file_format


def texts_of(target: Engine, table: str) -> list[tuple[int, str | None]]:
    with target.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(f"SELECT id, v::text FROM {table} ORDER BY id")]


@pytest.mark.parametrize(
    ("type_name", "before", "after"),
    [
        ("interval", "1 day", "24:00:00"),
        ("interval[]", '{"1 mon"}', '{"30 days"}'),
        ("text[] COLLATE lenient", "{abc}", "{aBc}"),
        ("citext", "abc", "aBc"),
        ("citext[]", "{abc}", "{aBc}"),
        ("tsquery", "'a' & 'b'", "'a' & 'c'"),
    ],
)
def test_a_value_that_only_the_database_takes_for_equal_is_a_change(files, target, made, type_name, before, after):
    if "citext" in type_name:
        made("CREATE EXTENSION citext")
    if "lenient" in type_name:
        made(LENIENT)
    made(f"CREATE TABLE t (id int PRIMARY KEY, v {type_name})")
    made("INSERT INTO t VALUES (1, %s)", parameters=(after,))
    changed = files.export(table="t")
    made("UPDATE t SET v = %s", parameters=(before,))

    assert files.load(changed, table="t", mode="upsert").updated == 1
    assert texts_of(target, "t") == [(1, after)]
    assert files.load(changed, table="t", mode="upsert").unchanged == 1


@pytest.mark.parametrize(
    ("over", "bad"), [("numeric(6,2)", "1.505"), ("varchar(3)", "abcd"), ("int", "1.5"), ("date", "2024-02-30")]
)
def test_a_domain_takes_what_its_type_keeps_exactly_and_refuses_the_rest(files, made, over, bad):
    made(f"CREATE DOMAIN d AS {over}", "CREATE TABLE t (id int PRIMARY KEY, v d, a d[])")
    file_key = files.store.put(BytesIO(f"id,v\n1,{bad}\n".encode()), "in.csv")

    result = run_strategy(TableImport(), {"file_key": file_key, "table": "t"}, target=files.target, files=files.store)

    assert (result.created, result.rejected) == (0, 1)
