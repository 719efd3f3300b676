"""Lists of JSON as PostgreSQL's arrays."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import types

from batch_jobs.strategies.sdk.database import database_named
from batch_jobs.strategies.tables.values.kinds import Kinds


def convert(item: Any, *cells: str | None) -> Any:
    return Kinds(database_named("postgresql")).of(types.ARRAY(item)).convert(pa.array(cells, pa.string()))


@pytest.mark.parametrize(
    ("item", "cell", "expected"),
    [
        (types.Text(), '["a", "b c"]', '{"a","b c"}'),
        (types.Text(), '["a\\"b", "c\\\\d", "NULL", "", null]', '{"a\\"b","c\\\\d","NULL","",NULL}'),
        (types.Text(), "[1, 1.50, true]", '{"1","1.50","true"}'),
        (types.Integer(), "[1, 2]", '{"1","2"}'),
        (types.Integer(), "[[1, 2], [3, null]]", '{{"1","2"},{"3",NULL}}'),
        (types.Numeric(10, 2), "[1.5]", '{"1.50"}'),
        (types.Double(), "[NaN, 0.1]", '{"nan","0.1"}'),
        (types.Date(), '["2024-01-31"]', '{"2024-01-31"}'),
        (types.JSON(), '[{"a": "x"}, "y", 1]', '{"{\\"a\\": \\"x\\"}","\\"y\\"","1"}'),
        (types.Integer(), "[]", "{}"),
        (types.Integer(), "[[], []]", "{}"),
        (types.Text(), "{a,b}", "{a,b}"),
        (types.Integer(), "[0:1]={1,2}", "[0:1]={1,2}"),
        (types.Text(), "", None),
    ],
)
def test_C8_a_list_is_an_array(item: Any, cell: str, expected: str | None):
    converted = convert(item, None, cell)
    assert (converted.values.to_pylist(), converted.bad) == ([None, expected], [])


@pytest.mark.parametrize(
    ("item", "cell", "message"),
    [
        (types.Integer(), '[1, "x"]', "element 2 of '[1, \"x\"]': 'x' is not a whole number"),
        (types.Integer(), "[1.5]", "element 1 of '[1.5]': '1.5' is not a whole number"),
        (
            types.Integer(),
            "[[1], [2, 3]]",
            "'[[1], [2, 3]]' has lists of different lengths or depths, which no array has",
        ),
        (types.Integer(), "[1, [2]]", "'[1, [2]]' has lists of different lengths or depths, which no array has"),
        (types.Text(), '[{"a": 1}]', "'[{\"a\": 1}]' has an object among its elements"),
        (types.Text(), "[1", "'[1' is neither a list of JSON nor an array"),
    ],
)
def test_C8_what_is_no_array_is_refused_by_its_row(item: Any, cell: str, message: str):
    converted = convert(item, "[]", cell, "[]")
    assert (converted.values.to_pylist(), converted.bad) == (["{}", None, "{}"], [(1, message)])


@given(st.lists(st.lists(st.integers(-99, 99), max_size=3), min_size=1))
def test_each_list_keeps_its_own_elements(lists: list[list[int]]):
    converted = convert(types.Integer(), *map(str, lists))
    assert converted.values.to_pylist() == ["{" + ",".join(f'"{number}"' for number in one) + "}" for one in lists]
