"""What is exported and imported again is unchanged, for every format, on both databases."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    Time,
    select,
)

NASTY = [
    "",
    " ",
    "=1+1",
    "'=x",
    "''=x",
    "'",
    "-5",
    "+1",
    "@a",
    "\tx",
    "\rx",
    "a\nb",
    'q"q',
    "a,b;c\td",
    "007",
    "NULL",
    "null",
    "nan",
]
NASTY += ["true", "1e5", "ünï 🎈", "\\N", "\\.", '""', "2024-01-01", "_x0041_", "<a>&b]]>", "trailing ", "\r\n", "#N/A"]

texts = st.sampled_from(NASTY) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
#: Excel files cannot hold control characters; an export of them is refused.
printable = st.sampled_from(NASTY) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=8
)
cells = {
    "number": st.integers(-(2**63), 2**63 - 1),
    "ratio": st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1e300, -0.5, 5e-324]),
    "price": st.decimals(-(10**9), 10**9, places=2),
    "day": st.dates(date(1000, 1, 1)),
    "at": st.datetimes(datetime(1000, 1, 1)),
    "moment": st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
    "clock": st.times(),
    "yes": st.booleans(),
    "data": st.recursive(
        st.booleans() | st.integers(-9, 9) | texts, lambda inner: st.lists(inner, max_size=2), max_leaves=3
    ),
    "bytes": st.binary(max_size=6),
}


def everything(name: str) -> Table:
    return Table(
        name,
        MetaData(),
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("text", Text),
        Column("number", BigInteger),
        Column("ratio", Double),
        Column("price", Numeric(12, 2)),
        Column("day", Date),
        Column("at", DateTime),
        Column("moment", DateTime(timezone=True)),
        Column("clock", Time),
        Column("yes", Boolean),
        Column("data", JSON(none_as_null=True)),
        Column("bytes", LargeBinary),
    )


def rows_of(file_format: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    wanted = {"text": printable if file_format == "xlsx" else texts, **cells}
    row = st.fixed_dictionaries({name: st.none() | cell for name, cell in wanted.items()})
    return st.lists(row, min_size=1, max_size=6)


@pytest.mark.parametrize("file_format", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
def test_export_then_import_reports_every_row_unchanged(files, target, file_format):
    table = everything("everything")

    @settings(max_examples=10)
    @example([dict.fromkeys(cells) | {"data": "\U00010000"}])
    @given(rows_of(file_format))
    def check(rows):
        numbered = [{"id": index, **row} for index, row in enumerate(rows)]
        table.drop(target, checkfirst=True)
        table.create(target)
        with target.begin() as connection:
            connection.execute(table.insert(), numbered)
            before = [tuple(row) for row in connection.execute(select(table).order_by(table.c.id))]

        result = files.load(files.export(table="everything", format=file_format), table="everything", mode="upsert")

        assert (result.unchanged, result.updated, result.created, result.rejected) == (len(rows), 0, 0, 0)
        with target.connect() as connection:
            assert [tuple(row) for row in connection.execute(select(table).order_by(table.c.id))] == before

    check()


@pytest.mark.parametrize("file_format", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
def test_an_exported_table_fills_an_empty_one_with_the_same_rows(files, target, file_format):
    source, copy = everything("source"), everything("copy")
    row = {
        "id": 1,
        "text": '\'=x\r\n"y"',
        "number": 2**62,
        "ratio": 0.1,
        "price": Decimal("-12.50"),
        "day": date(2024, 2, 29),
        "at": datetime(2024, 2, 29, 1, 2, 3, 4),
        "moment": datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=UTC),
        "clock": time(1, 2, 3, 4),
        "yes": False,
        "data": {"a": [1, None]},
        "bytes": b"\0\xff",
    }
    for table in (source, copy):
        table.create(target)
    with target.begin() as connection:
        connection.execute(source.insert(), [row, {**dict.fromkeys(row), "id": 2}])

    result = files.load(files.export(table="source", format=file_format), table="copy", mode="insert")

    assert result.created == 2
    with target.connect() as connection:
        first, second = (list(map(tuple, connection.execute(select(table).order_by("id")))) for table in (source, copy))
    assert first == second


def test_floats_that_are_no_numbers_survive(files, target):
    if target.dialect.name == "sqlite":
        pytest.skip("SQLite stores NaN as NULL")
    table = Table("odd", MetaData(), Column("id", Integer, primary_key=True), Column("ratio", Double))
    table.create(target)
    with target.begin() as connection:
        odd = [float("nan"), float("inf"), float("-inf"), 1e300]
        connection.execute(table.insert(), [{"id": index, "ratio": value} for index, value in enumerate(odd)])

    for file_format in ("csv", "tsv", "jsonl", "parquet", "xlsx"):
        result = files.load(files.export(table="odd", format=file_format), table="odd", mode="upsert")
        assert (result.unchanged, result.rejected) == (4, 0)
