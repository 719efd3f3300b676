"""Numbers that a column would give back as they were, and those it would not."""

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batch_jobs.strategies.tables.values.arrays import Beyond, Kind
from batch_jobs.strategies.tables.values.numbers import Numeric, endless_numeric, first_inexact, is_exact_float, real


def bad(kind: Kind, cell: str) -> str:
    ((index, message),) = kind.convert(pa.array(["1", cell, "2"])).bad
    assert index == 1
    return message


@pytest.mark.parametrize(
    ("bits", "cell", "message"),
    [
        (64, "1e400", "is too large for a floating-point number of 64 bits"),
        (64, "-1e400", "is too large"),
        (64, "1" * 400, "is too large"),
        (64, "1e-400", "is too small for a floating-point number of 64 bits"),
        (64, f"0.{'0' * 400}1", "is too small"),
        (64, "1.2345e-320", "has more digits than a floating-point number of 64 bits keeps"),
        (64, "9007199254740993", "has more digits"),
        (64, "0.12345678901234567890", "has more digits"),
        (32, "1e39", "is too large for a floating-point number of 32 bits"),
        (32, "16777217", "has more digits than a floating-point number of 32 bits keeps"),
    ],
)
def test_A15_a_float_that_would_be_another_is_refused(bits: int, cell: str, message: str):
    assert message in bad(real(bits), cell)


@pytest.mark.parametrize(
    "cell",
    [
        "0.30000000000000004",
        "9007199254740992",
        "1e308",
        "5e-324",
        "0e400",
        "0.1000000000000000055511151231257827021181583404541015625",
    ],
)
def test_a_float_that_is_given_back_is_taken(cell: str):
    assert real().convert(pa.array([cell])).values.to_pylist() == [float(cell)]


def test_a_single_that_was_written_as_a_double_is_taken():
    assert real(32).convert(pa.array(["0.10000000149011612", "0.1"])).bad == []


@given(st.floats(allow_nan=False, width=32))
def test_singles_come_back(number: float):
    assert real(32).convert(pa.array([str(np.float32(number)), repr(number)])).bad == []


def test_nan_is_refused_where_the_database_has_none_with_a_way_out():
    assert bad(real(keeps_nan=False), "NaN") == "'NaN' is no value that the database can hold; null_values can empty it"
    assert math.isnan(real().convert(pa.array(["NaN"])).values[0].as_py())


@pytest.mark.parametrize(
    ("precision", "cell"), [(None, "12345678901234567"), (None, "0.1234567890123456789"), (20, "12345678901234.5678")]
)
def test_a_decimal_is_refused_where_it_would_be_kept_as_another_float(precision: int | None, cell: str):
    scale = None if precision is None else 4
    assert "more digits than the database keeps" in bad(Numeric(precision, scale, as_float=True), cell)
    assert Numeric(precision, scale).convert(pa.array([cell])).bad == []


@pytest.mark.parametrize(
    ("precision", "cell", "text"),
    [
        (None, "nan", "NaN"),
        (None, "-inf", "-Infinity"),
        (None, "+Infinity", "Infinity"),
        (10, "NaN", "NaN"),
        (10, "inf", None),
    ],
)
def test_D1_postgresqls_numbers_that_are_none(precision: int | None, cell: str, text: str | None):
    converted = Beyond(Numeric(precision, 2 if precision else None), endless_numeric(precision)).convert(
        pa.array(["1.50", cell])
    )
    assert [index for index, _ in converted.bad] == ([1] if text is None else [])
    if text is not None:
        assert converted.values.to_pylist() == ["1.5", text]


@example(["1e-400"])
@example(["0.30000000000000004", "+1"])
@example(["123456789012345678"])
@given(
    st.lists(
        st.floats(allow_nan=False).map(repr)
        | st.decimals(allow_nan=False, allow_infinity=False).map(str)
        | st.integers().map(str),
        min_size=1,
    )
)
def test_the_first_inexact_number_is_the_first_that_a_float_does_not_give_back(cells: list[str]):
    finite = [cell for cell in cells if "inf" not in cell and abs(Decimal(cell).adjusted()) < 400]
    expected = next((place for place, cell in enumerate(finite) if not is_exact_float(cell)), None)
    assert first_inexact(pa.array(finite, pa.string())) == expected
