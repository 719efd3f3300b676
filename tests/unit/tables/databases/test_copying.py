"""Rows by COPY in binary: the same is stored as by COPY of their text, in each mode and around refused rows."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.tables.databases.naming import require_table
from batch_jobs.strategies.tables.databases.postgresql.copying import as_csv, copy, encode
from support.importing import Importing

with_a_database = settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=5)
WORDS = st.sampled_from(["", " ", "\\.", "\\N", "NULL", '"', "a,b", "\r\n", "é", "\U0001f600"]) | TEXTS
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999))


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    return st.integers(-most, most).map(
        lambda units: Decimal((units < 0, Decimal(abs(units)).as_tuple().digits, -scale))
    )


PLAIN = st.builds(lambda number, digits: f"{number:.{digits}f}", decimals(18, 8), st.integers(0, 8))
#: Where not each value has a binary form that is sure to be the same.
MAY_GO_BY_TEXT = ("REAL", "NUMERIC", "NUMERIC(6, 2)")

#: The type of the server -> the Arrow type of its cells, and these.
CELLS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "BOOLEAN": (pa.bool_(), st.booleans()),
    "SMALLINT": (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    "INTEGER": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "BIGINT": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "REAL": (pa.float64(), st.floats(width=32) | st.sampled_from([0.1, 1e-40, -0.0, 16777217.5])),
    "DOUBLE PRECISION": (pa.float64(), st.floats() | st.sampled_from([0.1, -0.0, 5e-324])),
    "NUMERIC": (pa.string(), PLAIN | st.sampled_from(["NaN", "-Infinity", "1" * 50])),
    "NUMERIC(6, 2)": (pa.string(), st.sampled_from(["0", "0.00", "9999.99", "-0.1", "12.345", "1000"])),
    "NUMERIC(12, 3)": (pa.decimal128(12, 3), decimals(12, 3)),
    "NUMERIC(38, 10)": (pa.decimal128(38, 10), decimals(38, 10)),
    "NUMERIC(4, 4)": (pa.decimal128(4, 4), decimals(4, 4)),
    "NUMERIC(9, 0)": (pa.decimal128(9, 0), decimals(9, 0)),
    "TEXT": (pa.string(), WORDS),
    "VARCHAR(5)": (pa.string(), WORDS),
    "CHAR(5)": (pa.string(), WORDS),
    "JSON": (pa.string(), st.sampled_from(["null", '{"a": 1, "a": [2.50]}', ' "é" '])),
    "JSONB": (pa.string(), st.sampled_from(["null", '{"b": 1, "a": [2.50], "b": 3}', ' "é" '])),
    "UUID": (pa.string(), st.uuids().map(str)),
    "DATE": (pa.date32(), st.dates(date(1, 1, 1), date(9999, 12, 31))),
    "TIME": (pa.time64("us"), st.times()),
    "TIMESTAMP": (pa.timestamp("us"), MOMENTS),
    "TIMESTAMPTZ": (pa.timestamp("us", "UTC"), MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC))),
    "BYTEA": (pa.binary(), st.binary(max_size=5)),
}


@pytest.fixture
def target(postgres_url: str) -> Iterator[Engine]:
    engine = make_engine(postgres_url)
    yield engine
    engine.dispose()


def stored(target: Engine, table: str) -> list[str]:
    with target.connect() as connection:
        return list(connection.execute(text(f"SELECT row::text FROM {table} AS row ORDER BY n")).scalars())


@pytest.mark.parametrize("type", CELLS)
def test_a_column_holds_the_same_by_binary_as_by_text(target: Engine, type: str):
    arrow, cells = CELLS[type]
    with target.begin() as connection:
        connection.execute(text(f"CREATE TABLE binary_way (n INTEGER, v {type})"))
        connection.execute(text("CREATE TABLE text_way (LIKE binary_way)"))
    table = require_table(target, "binary_way")

    @with_a_database
    @given(values=st.lists(st.none() | cells, min_size=3, max_size=30))
    def held_the_same(values: list[Any]) -> None:
        rows = pa.table({"n": pa.array(range(len(values)), pa.int32()), "v": pa.array(values, arrow)}).slice(1)
        encoded = encode(rows, table)
        assert encoded.types is not None or type in MAY_GO_BY_TEXT
        with target.begin() as connection:
            connection.execute(text("TRUNCATE binary_way, text_way"))
            copy(connection, "binary_way (n, v)", encoded)
            copy(connection, "text_way (n, v)", as_csv(rows))
        assert stored(target, "binary_way") == stored(target, "text_way")

    held_the_same()


@pytest.mark.parametrize(
    "cells", [["1", "12.5"], ["1", "-0.07", "100000000", "12345678901234567890.5"], ["NaN", "1", "2"]]
)
def test_decimals_without_a_scale_keep_their_own(target: Engine, cells: list[str]):
    with target.begin() as connection:
        connection.execute(text("CREATE TABLE prices (n INTEGER, v NUMERIC)"))
    rows = pa.table({"n": pa.array(range(len(cells)), pa.int32()), "v": pa.array(cells)})

    with target.begin() as connection:
        copy(connection, "prices (n, v)", encode(rows, require_table(target, "prices")))

    assert stored(target, "prices") == [f"({n},{cell})" for n, cell in enumerate(cells)]


TABLE = """
CREATE SCHEMA {schema}
CREATE TABLE goods (
    n INTEGER PRIMARY KEY, name VARCHAR(5), price NUMERIC(8, 2), stock SMALLINT, sold TIMESTAMPTZ, seen DATE,
    CONSTRAINT price_is_paid CHECK (price > 0), CONSTRAINT stock_is_there UNIQUE (stock), other {other}
)
"""
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "é,", '"', "\\."]),
        st.sampled_from(["", "-1.00", "0", "1.50", "999999.99"]),
        st.sampled_from(["", "", "", "1", "2", "7"]),
        st.sampled_from(["", "2026-01-31T12:00:00.000001Z", "infinity"]),
        st.sampled_from(["", "2026-02-28", "2026-02-28", "0044-03-15 BC"]),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["append", "insert", "upsert", "update", "sync"])
def test_an_import_in_binary_ends_as_one_by_text(importing: Importing, mode: str):
    """The server has no binary form for a column of the second table, so that all of it goes by text."""
    outcomes: dict[str, tuple[Any, ...]] = {}
    importing.chunk_size = 10
    options = {"max_removed": 100} if mode == "sync" else {}

    @settings(with_a_database, max_examples=12)
    @given(rows=ROWS, there=st.lists(st.integers(0, 25), unique=True, max_size=10))
    def ends_the_same(rows: list[tuple[str, ...]], there: list[int]) -> None:
        lines = [",".join([str(n), json.dumps(name).replace('\\"', '""').replace("\\\\", "\\"), *others, ""])
                 for n, (name, *others) in enumerate(rows)]  # fmt: skip
        content = "n,name,price,stock,sold,seen,other\n" + "\n".join(lines) + "\n"
        for schema, other in (("as_binary", "TEXT"), ("as_text", "INET")):
            with importing.target.begin() as connection:
                connection.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
                connection.execute(text(TABLE.format(schema=schema, other=other)))
                for n in there:
                    connection.execute(text(f"INSERT INTO {schema}.goods (n, name, price) VALUES ({n}, 'old', 2)"))
            result = importing(content, table=f"{schema}.goods", mode=mode, **options)
            counts = (result.created, result.updated, result.unchanged, result.rejected)
            rejects = [line.replace(schema, "") for line in importing.rejects(result)]
            outcomes[schema] = (stored(importing.target, f"{schema}.goods"), counts, rejects)
        assert outcomes["as_binary"] == outcomes["as_text"]

    ends_the_same()


def test_a_column_that_was_given_another_type_meanwhile_gets_its_values(importing: Importing):
    with importing.target.begin() as connection:
        connection.execute(text("CREATE TABLE goods (n INTEGER PRIMARY KEY, amount INTEGER)"))
    job = importing.job("n,amount\n" + "".join(f"{n},{n}\n" for n in range(1, 10)), table="goods", mode="upsert")
    writing, changes = job.chunk, ["bigint", "real", "numeric"]

    def change_before(cursor: Any) -> Any:
        with importing.target.begin() as connection:
            connection.execute(text(f"ALTER TABLE goods ALTER amount TYPE {changes.pop()}"))
        return writing(cursor)

    job.chunk = change_before  # type: ignore[method-assign]
    hooks.pre_process(importing.strategy, job)
    hooks.process(importing.strategy, job)

    assert not changes
    assert stored(importing.target, "goods") == [f"({n},{n})" for n in range(1, 10)]


PICKY = """
CREATE FUNCTION is_liked(amount INTEGER) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN IF amount = 13 THEN RAISE feature_not_supported USING MESSAGE = 'not that one'; END IF; RETURN TRUE; END $$
"""


def test_a_domain_is_asked_in_binary_too(importing: Importing):
    importing.chunk_size = 10
    with importing.target.begin() as connection:
        connection.execute(text(PICKY))
        connection.execute(text("CREATE DOMAIN amount AS INTEGER CHECK (100 / VALUE > 5) CHECK (is_liked(VALUE))"))
        connection.execute(text("CREATE DOMAIN code AS VARCHAR(3) CHECK (VALUE <> 'bad')"))
        connection.execute(text("CREATE TABLE goods (n INTEGER PRIMARY KEY, amount amount, code code)"))

    result = importing("n,amount,code\n1,1,a\n2,0,b\n3,13,c\n4,2,bad\n5,3,abc\n", table="goods", mode="upsert")

    assert stored(importing.target, "goods") == ["(1,1,a)", "(5,3,abc)"]
    reasons = "\n".join(importing.rejects(result)[1:])
    assert all(words in reasons for words in ("division by zero", "not that one", "violates check constraint"))
