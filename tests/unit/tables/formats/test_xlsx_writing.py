"""What an export writes: cells of Excel's own types where they say the same, and text where they would not."""

import datetime as dt
import io
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Boolean, Date, DateTime, Double, Integer, Numeric, Text, Time
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.formats.format import WriteOptions
from batch_jobs.strategies.tables.formats.xlsx import FORMAT
from batch_jobs.strategies.tables.selecting import SelectedColumn
from tests.support.workbooks import xlsx_reader


def exported(type: TypeEngine[Any], *cells: str | None) -> bytes:
    """A workbook of one column."""
    stream = io.BytesIO()
    with FORMAT.writer(stream, [SelectedColumn("v", type)], WriteOptions(neutralise=False)) as writer:
        writer.write(pa.table({"v": pa.array(cells, pa.string())}))
    return stream.getvalue()


def opened(type: TypeEngine[Any], *cells: str | None) -> list[Any]:
    """The cells as another program has them."""
    sheet = openpyxl.load_workbook(io.BytesIO(exported(type, *cells))).active
    return [row[0].value for row in sheet.iter_rows(min_row=2)]


def read_again(type: TypeEngine[Any], *cells: str | None) -> list[str | None]:
    table = pa.concat_tables([batch.table for batch in xlsx_reader(exported(type, *cells)).batches()])
    return table.column("v").to_pylist()


@pytest.mark.parametrize(
    ("type", "text", "cell"),
    [
        (Integer(), "12", 12),
        (Numeric(), "-0.25", -0.25),
        (Numeric(), "12345678901234.5678", "12345678901234.5678"),
        (Integer(), "1234567890123456", "1234567890123456"),
        (Double(), "1e-10", "1e-10"),
        (Double(), "nan", "nan"),
        (Boolean(), "true", True),
        (Boolean(), "false", False),
        (Date(), "2024-02-29", dt.datetime(2024, 2, 29)),
        (Date(), "9999-12-31", dt.datetime(9999, 12, 31)),
        (Date(), "1900-03-01", dt.datetime(1900, 3, 1)),
        (Date(), "1900-02-28", "1900-02-28"),
        (Date(), "0001-01-01", "0001-01-01"),
        (Date(), "infinity", "infinity"),
        (Date(), "2023-02-29", "2023-02-29"),
        (DateTime(), "2024-02-29 13:45:00", dt.datetime(2024, 2, 29, 13, 45)),
        (DateTime(), "2024-02-29 13:45:00.120000", dt.datetime(2024, 2, 29, 13, 45, 0, 120_000)),
        (DateTime(), "2024-02-29 13:45:00.123456", "2024-02-29 13:45:00.123456"),
        (DateTime(timezone=True), "2024-02-29 13:45:00+00:00", "2024-02-29 13:45:00+00:00"),
        (Time(), "13:45:00", dt.time(13, 45)),
        (Time(), "13:45:00.5", dt.time(13, 45, 0, 500_000)),
        (Time(), "24:00:00", "24:00:00"),
        (Text(), "2024-02-29", "2024-02-29"),
        (Text(), "0012", "0012"),
    ],
)
def test_D4_what_excel_holds_is_of_its_types_and_all_else_text(type: TypeEngine[Any], text: str, cell: Any):
    odd = "odd" if isinstance(type, Text) else None
    assert opened(type, text, odd) == [cell, odd]
    # beside others that do not fit
    assert opened(type, "x", None, text) == ["x", None, cell]


def whole_milliseconds(at: dt.datetime) -> dt.datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.datetimes(dt.datetime(1800, 1, 1)) | st.datetimes().map(whole_milliseconds), min_size=20, max_size=60)
)
def test_D4_moments_days_and_times_come_back_unchanged(moments: list[dt.datetime]):
    for type, texts in [
        (DateTime(), [at.isoformat(" ") for at in moments]),
        (Date(), [str(at.date()) for at in moments]),
        (Time(), [at.time().isoformat() for at in moments]),
    ]:
        assert read_again(type, *texts) == texts


looks_escaped = st.sampled_from(["_", "x", "x0041", "_x005F_", "_x000D_", "&", "<", "a", "\r", "\n", " "])


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(looks_escaped).map("".join), min_size=20, max_size=60))
def test_A11_texts_that_look_escaped_come_back_unchanged(texts: list[str]):
    assert read_again(Text(), *texts) == texts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * 32_768, "column v has a cell of 32,768 characters and Excel allows 32,767; export it in another format"),
        ("a\x01", "column v has a control character that Excel files cannot hold; export it in another format"),
        ("\ufffe", "column v has a control character that Excel files cannot hold"),
    ],
)
def test_what_a_cell_cannot_hold_is_refused(text: str, message: str):
    with pytest.raises(JobRefused, match=message):
        exported(Text(), "a", text)
    assert read_again(Text(), "x" * 32_767) == ["x" * 32_767]
