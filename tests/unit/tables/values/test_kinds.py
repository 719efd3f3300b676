"""What columns take, and what is said of what they do not."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Identity, MetaData, Table, types

from batch_jobs.strategies.sdk.database import database_named
from batch_jobs.strategies.tables.databases.naming import DATABASE
from batch_jobs.strategies.tables.values.kinds import kind_of, missing

MOMENTS = [datetime(2024, 1, 2, 3, 4, 5, microsecond) for microsecond in (0, 500_000)]


def convert(type: Any, *cells: str | None) -> Any:
    return kind_of(Column("c", type)).convert(pa.array(cells, pa.string()))


def values(type: Any, *cells: str | None) -> list[Any]:
    converted = convert(type, *cells)
    assert converted.bad == []
    return list(converted.values.to_pylist())


def bad(type: Any, cell: str) -> str:
    converted = convert(type, None, cell, None)
    assert converted.values.to_pylist() == [None, None, None]
    ((index, message),) = converted.bad
    assert index == 1
    return str(message)


@pytest.mark.parametrize(
    ("type", "cells", "expected"),
    [
        (types.Integer(), ["1", " 2 ", "+3", "-4", "007", "5.0", "", None], [1, 2, 3, -4, 7, 5, None, None]),
        (types.BigInteger(), ["9223372036854775807"], [2**63 - 1]),
        (types.Numeric(10, 2), ["1.5", "1.500", "-0.10", "1e2"], [Decimal(t) for t in ("1.5", "1.5", "-0.1", "100")]),
        (types.Numeric(), ["1.50", "-0", "12345678901234567.1", "1e3"], ["1.5", "0", "12345678901234567.1", "1000"]),
        (types.Float(), ["1.5", "1e300", "-inf", "0.1"], [1.5, 1e300, float("-inf"), 0.1]),
        (types.Boolean(), ["true", "F", "YES", "0", " 1 "], [True, False, True, False, True]),
        (types.Date(), ["2024-02-29", "2024-02-29 00:00:00"], [date(2024, 2, 29)] * 2),
        (types.DateTime(), ["2024-01-02 03:04:05", "2024-01-02T03:04:05.5"], MOMENTS),
        (types.DateTime(timezone=True), ["2024-01-02T03:04:05+01:00", "2024-01-02 03:04:05"],
         [datetime(2024, 1, 2, h, 4, 5, tzinfo=UTC) for h in (2, 3)]),
        (types.Time(), ["13:45:00", "13:45"], [time(13, 45)] * 2),
        (types.String(3), ["abc", "", " a "], ["abc", "", " a "]),
        (types.Text(), ["'x", "NULL"], ["'x", "NULL"]),
        (types.Enum("a", "b"), ["a", None], ["a", None]),
        (types.JSON(), ['{"a": 1}', "null"], ['{"a": 1}', "null"]),
        (types.Uuid(), ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"], ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
        (types.LargeBinary(), ["\\x00ff", "00ff", ""], [b"\x00\xff", b"\x00\xff", None]),
    ],
)  # fmt: skip
def test_good_cells_are_values(type: Any, cells: list[str | None], expected: list[Any]):
    assert values(type, *cells) == expected


@pytest.mark.parametrize(
    ("type", "cell", "message"),
    [
        (types.Integer(), "12a", "'12a' is not a whole number"),
        (types.Integer(), "1.5", "'1.5' is not a whole number"),
        (types.Integer(), "0x1F", "'0x1F' is not a whole number"),
        (types.Integer(), "2147483648", "'2147483648' is not between -2147483648 and 2147483647"),
        (types.SmallInteger(), "40000", "'40000' is not between -32768 and 32767"),
        (types.Numeric(10, 2), "1.005", "'1.005' has 3 decimals where the column has 2"),
        (types.Numeric(4, 2), "123.4", "'123.4' has more than 2 digits before the point"),
        (types.Numeric(), "1,5", "'1,5' is not a number"),
        (types.Numeric(), "NaN", "'NaN' is not a number"),
        (types.Float(), "12,5W", "'12,5W' is not a number"),
        (types.Boolean(), "maybe", "'maybe' is neither true nor false"),
        (types.Date(), "2023-02-29", "'2023-02-29' is not a day such as 2026-01-31: there is no such day or time"),
        (types.Date(), "31.01.2026", "'31.01.2026' is not a day such as 2026-01-31"),
        (types.Date(), "2024-01-01 10:00:00", "'2024-01-01 10:00:00' has a time and the column holds days"),
        (types.DateTime(), "2024-01-01T00:00:00Z", "'2024-01-01T00:00:00Z' has a time zone and the column has none"),
        (types.Time(), "25:00", "'25:00' is not a time such as 13:45:00"),
        (types.String(3), "abcd", "'abcd' has 4 characters where the column holds 3"),
        (types.Text(), "a\0b", "'a\\x00b' has a NUL character"),
        (types.Enum("a", "b"), "c", "'c' is not one of a, b"),
        (types.JSON(), "{", "'{' is not JSON"),
        (types.Uuid(), "x", "'x' is not a UUID"),
        (types.LargeBinary(), "0g", "'0g' is not hexadecimal"),
        (types.Integer(), "x" * 100, f"'{'x' * 39}…' is not a whole number"),
    ],
)
def test_bad_cells_are_told_in_a_phrase(type: Any, cell: str, message: str):
    assert bad(type, cell) == message


def test_the_integer_of_sqlite_has_64_bits():
    table = Table("t", MetaData(), Column("c", types.Integer()), info={DATABASE: database_named("sqlite")})
    assert kind_of(table.c.c).convert(pa.array(["3000000000"])).values.to_pylist() == [3_000_000_000]


@given(st.lists(st.integers(-(2**70), 2**70), min_size=1))
def test_integers_agree_with_python(numbers: list[int]):
    converted = convert(types.BigInteger(), *map(str, numbers))
    fits = [-(2**63) <= number < 2**63 for number in numbers]
    assert converted.values.to_pylist() == [number if fit else None for number, fit in zip(numbers, fits, strict=True)]
    assert [index for index, _ in converted.bad] == [index for index, fit in enumerate(fits) if not fit]


@given(
    st.lists(
        st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**7), max_value=10**7), min_size=1
    )
)
def test_decimals_agree_with_python(numbers: list[Decimal]):
    cells = [format(number, "f") for number in numbers]
    assert values(types.Numeric(10, 2), *cells) == numbers
    assert [Decimal(value) for value in values(types.Numeric(), *cells)] == numbers


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_floats_agree_with_python(numbers: list[float]):
    assert values(types.Float(), *map(repr, numbers)) == numbers


@given(st.lists(st.datetimes(min_value=datetime(1000, 1, 1)), min_size=1), st.integers(-12, 12))
def test_moments_agree_with_python(moments: list[datetime], hours: int):
    assert values(types.DateTime(), *map(str, moments)) == moments
    zone = timezone(timedelta(hours=hours))
    zoned = [moment.replace(tzinfo=zone) for moment in moments if 1000 < moment.year < 9000]
    assert values(types.DateTime(timezone=True), *map(str, zoned)) == zoned


EXACT = [types.Integer(), types.BigInteger(), types.Numeric(10, 2), types.Numeric(), types.Float(), types.Date()]


@settings(max_examples=200)
@example(types.Numeric(10, 2), "0.00000199999339154545265353588171057943891")  # more digits than a decimal of Arrow's
@given(
    st.sampled_from(EXACT),
    st.text("0123456789-./", max_size=11) | st.dates().map(str) | st.decimals(allow_nan=False).map(str),
)
def test_a_cell_means_the_same_alone_and_beside_one_that_makes_all_cells_be_looked_at(type: Any, cell: str):
    alone, beside = convert(type, cell), convert(type, cell, "no value")
    assert alone.values.to_pylist() == beside.values.to_pylist()[:1]
    assert [*alone.bad, (1, beside.bad[-1][1])] == beside.bad


def test_cells_out_of_the_middle_of_a_column_are_not_taken_for_their_neighbours():
    cells = pa.array(["x", "1", " 2 ", "", None, "\0", "longer than three"])
    assert kind_of(Column("c", types.Integer())).convert(cells[1:5]).values.to_pylist() == [1, 2, None, None]
    converted = kind_of(Column("c", types.String(3))).convert(cells[:5])
    assert converted.values.to_pylist() == ["x", "1", " 2 ", "", None]
    assert converted.bad == []


def test_what_needs_a_value():
    table = Table(
        "t", MetaData(),
        Column("id", types.Integer(), Identity(), primary_key=True), Column("a", types.Text(), nullable=False),
        Column("b", types.Text()), Column("c", types.Text(), nullable=False, server_default="x"),
    )  # fmt: skip
    assert [bool(missing(column)) for column in table.columns] == [True, True, False, True]
