"""Finding types over a whole file."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import types

from batch_jobs.strategies.sdk.database import database_named
from batch_jobs.strategies.tables.formats.reading import Batch
from batch_jobs.strategies.tables.importing.families import Decision
from batch_jobs.strategies.tables.importing.inference import Inference
from batch_jobs.strategies.tables.values.kinds import Kinds
from batch_jobs.strategies.tables.values.options import ValueOptions

DATABASES = ["postgresql", "sqlite"]


def decision(
    *cells: str | None,
    batch: int = 2,
    database: str = "postgresql",
    texts: list[bool] | None = None,
    type: pa.DataType | None = None,
    typed: bool = True,
    **options: Any,
) -> Decision:
    known = {"c": type} if type else None
    inference = Inference(database_named(database), ValueOptions(**options), known, typed=typed and texts is not None)
    for start in range(0, len(cells), batch):
        part = pa.array(cells[start : start + batch], pa.string())
        lines = pa.array(range(start + 2, start + 2 + len(part)), pa.int64())
        marked = {"c": pa.array(texts[start : start + batch])} if texts else {}
        inference.feed(Batch(pa.table({"c": part}), lines, [], {"line": start + 2}, texts=marked))
    return inference.columns()["c"]


def decide(*cells: str | None, **given: Any) -> tuple[str, str]:
    found = decision(*cells, **given)
    return type(found.type).__name__, found.why


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize(
    ("cells", "type"),
    [
        (["1", "-20", None, "0", ""], "BigInteger"),
        (["1", "2.50", "-0.5"], "Numeric"),
        (["31.95376472", "-89.23450472"], "Numeric"),
        (["1.5", "1e10"], "Double"),
        (["true", "FALSE"], "Boolean"),
        (["2024-01-31", "1999-12-31"], "Date"),
        (["2024-01-31 10:00:00", "2024-01-31T10:00:00.123"], "DateTime"),
        (["00501", "10001"], "Text"),
        (["-007"], "Text"),
        (["1", "2", "3", "x"], "Text"),
        (["+1", "-1"], "BigInteger"),
        (["+436641234567"], "Text"),
        (["2024-02-30"], "Text"),
        (["0000-01-01"], "Text"),
        (["2024-01-31 10:00:00.1234567"], "Text"),
        (["2024-01-31 10:00:00.123456000"], "DateTime"),
        (["1", "true"], "Text"),
        (["1", "2024-01-31"], "Text"),
        (["-0"], "BigInteger"),
        (["inf", "1.5"], "Double"),
        (["inf", None, "1.5", "2"], "Double"),
        (["Infinity"], "Text"),
        (["NaN", "1.5"], "Text"),
        ([None, ""], "Text"),
    ],
)
def test_the_type_holds_every_cell_as_it_is(cells: list[str | None], type: str, database: str):
    assert decide(*cells, database=database)[0] == type


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("batch", [1, 2, 10])
@pytest.mark.parametrize(
    ("cells", "type"),
    [
        (["2024-02-29", None], "Date"),
        ([None, "2024-02-29", ""], "Date"),
        (["2024-01-01 10:00:00", None], "DateTime"),
        (["true", None], "Boolean"),
        (["", "2024-01-01 10:00"], "DateTime"),
    ],
)
def test_B1_an_empty_cell_changes_no_type(cells: list[str | None], type: str, batch: int, database: str):
    assert decide(*cells, database=database, batch=batch)[0] == type


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("cells", [["2024-01-01 10:30:00", "2024-01-02"], ["2024-01-02", "2024-01-01 10:30:00"]])
def test_B2_a_day_among_times_is_its_midnight_and_the_reason_says_so(cells: list[str], database: str):
    for batch in (1, 2):
        type, why = decide(*cells, database=database, batch=batch)
        assert (type, why) == ("DateTime", "every value is a time without a zone or a day, which is its midnight")


@pytest.mark.parametrize(
    ("cells", "postgresql", "sqlite"),
    [
        (["0.30000000000000004", "1.5"], "Numeric", "Double"),
        (["1234567890.1234567", "1.5"], "Numeric", "Double"),
        (["0.1234567890123456789"], "Numeric", "Text"),
        ([".5", "0.5"], "Numeric", "Numeric"),
        (["1.", "2."], "Numeric", "Numeric"),
        (["1e-7", "123.456"], "Double", "Double"),
        (["1e5", "12345678901234567.89"], "Numeric", "Text"),
        (["1e400"], "Numeric", "Text"),
        (["1577134800018226901", "1577134800018226902"], "BigInteger", "BigInteger"),
        (["9223372036854775807"], "BigInteger", "BigInteger"),
        (["9223372036854775808"], "Numeric", "Double"),
        (["9223372036854775809"], "Numeric", "Text"),
        (["1577134800018226901", "0.5"], "Numeric", "Text"),
        (["2024-01-01 10:00", "2024-01-02 11:30"], "DateTime", "DateTime"),
        (["2024-01-01T10:00Z", "2024-01-01T11:00+01:00"], "DateTime", "Text"),
        (["12345678901234567890"], "Numeric", "Text"),
    ],
)
def test_B3_numbers_and_times_are_such_wherever_nothing_is_lost(cells: list[str], postgresql: str, sqlite: str):
    for batch in (1, 2):
        assert decide(*cells, batch=batch)[0] == postgresql
        assert decide(*cells, batch=batch, database="sqlite")[0] == sqlite


def test_B3_the_reason_says_why_a_database_does_not_keep_a_number():
    why = decide("1.5", "0.1234567890123456789", database="sqlite")[1]
    assert why == "'0.1234567890123456789' on line 3 has more digits than sqlite keeps of a number"
    why = decide("2024-01-01T10:00Z", database="sqlite")[1]
    assert why == "'2024-01-01T10:00Z' on line 2 has a time zone and sqlite keeps none"


@pytest.mark.parametrize(
    ("cells", "why", "line"),
    [
        (["10001", "00501"], "'00501' on line 3 would not be the same as a number", 3),
        (["1", "2", "3", "x"], "'x' on line 5 is not a whole number", 5),
        (["1.5", "x", "y"], "'x' on line 3 is not a number", 3),
        (["2024-01-01", "2024-13-01"], "'2024-13-01' on line 3 is not a day", 3),
        (["2024-01-01 10:00", "2024-01-01 25:00"], "'2024-01-01 25:00' on line 3 is not a time", 3),
        (["true", None, "maybe"], "'maybe' on line 4 is not true or false", 4),
        (["2024-01-01", "2024-01-01 10:00Z"], "'2024-01-01 10:00Z' on line 3 has a time zone and others have none", 3),
        (["1", "2.5"], "every value is a decimal number of at most 15 digits", 3),
        (["1.5", "2.5e3"], "every value is a floating-point number", 3),
        (["1", "2"], "every value is a whole number", None),
        ([None], "there is no value in the whole file", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("batch", [1, 2, 10])
def test_B5_the_reason_names_the_cell_that_decided(cells: list[str | None], why: str, line: int | None, batch: int):
    found = decision(*cells, batch=batch)
    assert found.why == why
    assert (found.cell.line if found.cell else None) == line
    assert found.cell is None or found.cell.text == cells[found.cell.line - 2]


@pytest.mark.parametrize("cell", ["12345", "01234", "1.5", "1e5", "-7", "true"])
def test_A12_text_of_a_typed_file_that_looks_like_a_number_stays_text(cell: str):
    assert decide("7", cell, texts=[False, True]) == ("Text", f"{cell!r} on line 3 is text in the file")
    assert decide("7", None, texts=[False, False])[0] == "BigInteger"
    assert decide("2024-01-31", texts=[True])[0] == "Date"


def test_A12_quoted_cells_stay_text_unless_their_marks_need_the_quotes():
    assert decide("12345", texts=[True], typed=False) == ("Text", "'12345' on line 2 is text in the file")
    assert decide("1.234,50", "7", texts=[True, True], typed=False, decimal=",", thousands=".")[0] == "Numeric"


@pytest.mark.parametrize(
    ("type", "postgresql", "sqlite"),
    [
        (pa.float64(), "DOUBLE_PRECISION", "DOUBLE"),
        (pa.float32(), "REAL", "REAL"),
        (pa.date32(), "DATE", "DATE"),
        (pa.binary(), "BYTEA", "BLOB"),
        (pa.list_(pa.int64()), "BIGINT[]", "JSON"),
        (pa.list_(pa.list_(pa.int64())), "JSONB", "JSON"),
        (pa.struct({"a": pa.int64()}), "JSONB", "JSON"),
        (pa.decimal128(10, 2), "NUMERIC(10, 2)", "NUMERIC(10, 2)"),
        (pa.decimal128(30, 2), "NUMERIC(30, 2)", "NUMERIC"),
        (pa.int16(), "SMALLINT", "SMALLINT"),
        (pa.uint32(), "BIGINT", "BIGINT"),
        (pa.timestamp("us"), "TIMESTAMP WITHOUT TIME ZONE", "DATETIME"),
        (pa.timestamp("us", "UTC"), "TIMESTAMP WITH TIME ZONE", "TEXT"),
        (pa.time64("us"), "TIME WITHOUT TIME ZONE", "TIME"),
        (pa.bool_(), "BOOLEAN", "BOOLEAN"),
        (pa.string(), "TEXT", "TEXT"),
        (pa.dictionary(pa.int8(), pa.string()), "TEXT", "TEXT"),
    ],
)
def test_B4_the_types_of_a_file_itself_are_kept(type: pa.DataType, postgresql: str, sqlite: str):
    cell = "2024-01-01 10:00:00.000000+00:00" if pa.types.is_timestamp(type) else "1.5"
    for database, expected in (("postgresql", postgresql), ("sqlite", sqlite)):
        found = decision(cell, None, database=database, type=type).type
        compiled = found.compile(dialect=_dialect(database)).replace("DOUBLE PRECISION", "DOUBLE_PRECISION")
        assert compiled.replace("DOUBLE_PRECISION", "DOUBLE") == expected.replace("DOUBLE_PRECISION", "DOUBLE")


def _dialect(name: str) -> Any:
    from sqlalchemy.dialects import registry

    return registry.load(name)()


@pytest.mark.parametrize("database", DATABASES)
def test_marks_formats_words_and_types_that_were_given(database: str):
    marks = {"decimal": ",", "thousands": ".", "database": database}
    assert decide("1.234,50", "7", **marks)[0] == "Numeric"
    assert str(decision("1", "1.234,50", **marks).cell) == "'1.234,50' on line 3"
    assert decide("1.234", "1.234.567", **marks)[0] == "BigInteger"
    assert decide("1,234", "1.5", **marks) == ("Text", "'1.5' on line 3 is not a number")
    assert decide("31.12.2024", None, date_format="%d.%m.%Y", database=database)[0] == "Date"
    assert decide("31.12.2024 10:30", date_format={"c": "%d.%m.%Y %H:%M"}, database=database)[0] == "DateTime"
    assert decide("10:30", date_format="%H:%M", database=database)[0] == "Time"
    why = "'31.02.2024' on line 3 is not as %d.%m.%Y"
    assert decide("01.02.2024", "31.02.2024", date_format="%d.%m.%Y", database=database) == ("Text", why)
    assert decide("1", " NA ", "2.5", null_values=["NA"], database=database)[0] == "Numeric"
    assert decide("1", types={"c": "numeric(10,2)"}, database=database) == ("Numeric", "types says so")
    assert decide("31.12.2024", texts=[True], date_format="%d.%m.%Y", database=database)[0] == "Date"


def test_local_times_beside_zoned_ones_have_a_type_where_their_zone_is_given():
    cells = ["2024-01-01 10:00", "2024-01-01T10:00:00Z"]
    assert decide(*cells)[0] == "Text"
    assert decision(*cells, time_zone="Europe/Vienna").type.timezone  # type: ignore[attr-defined]
    assert decide(*cells, time_zone="Europe/Vienna", database="sqlite")[0] == "DateTime"


NUMBERS = (
    st.integers(-(2**70), 2**70).map(str)
    | st.floats(allow_nan=False).map(repr)
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str)
    | st.from_regex(
        r"[+-]?(\d{1,4}\.?\d{0,4}|\.\d{1,4})([eE][+-]?\d{1,2})?", fullmatch=True, alphabet="0123456789+-.eE"
    )
    | st.sampled_from(["1e400", "-1e400", "1e-400", "inf", "-Infinity", "0x1F", "1_000", "1d5", "True", " 7 ", "1e05"])
)


def _pandas_reads(cell: str) -> bool:
    try:
        pd.to_numeric(pd.Series([cell], dtype=object))
    except (ValueError, TypeError):
        return False
    return True


@settings(max_examples=150, deadline=None)
@example(["+1"])
@example(["-0", "1.5"])
@example(["99999999999999999999999999999.5"])
@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_what_pandas_reads_as_numbers_is_text_only_where_the_reason_says_what_would_be_lost(cells: list[str]):
    for database in DATABASES:
        found = decision(*cells, database=database)
        if all(map(_pandas_reads, cells)):
            reasons = ("same as a number", "more digits than", "is a word where")
            assert not isinstance(found.type, types.Text) or any(reason in found.why for reason in reasons)
        else:
            assert isinstance(found.type, (types.Text, types.Boolean))


@settings(max_examples=150, deadline=None)
@given(st.lists(NUMBERS | st.dates().map(str) | st.datetimes().map(str) | st.none(), min_size=1, max_size=4))
def test_the_columns_type_takes_every_cell(cells: list[str | None]):
    for database in DATABASES:
        found = decision(*cells, database=database)
        converted = Kinds(database_named(database)).of(found.type).convert(pa.array(cells, pa.string()))
        assert converted.bad == []
