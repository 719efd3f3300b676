"""Types of columns to create, in a plan and in a row."""

from typing import Any

import pytest
from sqlalchemy import types
from sqlalchemy.dialects import postgresql

from batch_jobs.strategies.tables.importing.families import Cell, Decision
from batch_jobs.strategies.tables.importing.newtypes import least_row_bytes
from batch_jobs.strategies.tables.importing.plan import ColumnToCreate
from batch_jobs.strategies.tables.values.typenames import type_named

NAMES = [
    "text", "varchar(20)", "bigint", "numeric(10,2)", "double", "real", "timestamptz", "uuid", "json", "jsonb", "inet",
    "integer[]", "numeric(10,2)[]", "interval", "bytea", "time",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_type_is_the_same_after_it_was_kept_in_a_plan(name: str):
    type = type_named(name)
    kept = ColumnToCreate.decided("c", Decision(type, "types says so", Cell("x", 7))).model_dump(mode="json")
    column = ColumnToCreate.model_validate(kept).column([])
    dialect: Any = postgresql.dialect()  # type: ignore[no-untyped-call]
    assert column.type.compile(dialect=dialect) == type.compile(dialect=dialect)
    assert (kept["cell"], kept["line"]) == ("x", 7)


def test_C11_a_row_takes_what_its_columns_do_with_the_gaps_between_them():
    assert least_row_bytes([]) == 24
    assert least_row_bytes([types.BigInteger()] * 1000) == 24 + 125 + 3 + 8000
    assert least_row_bytes([types.Boolean(), types.BigInteger()]) == 24 + 8 + 8
    assert least_row_bytes([types.SmallInteger()] * 1600) < 8160
