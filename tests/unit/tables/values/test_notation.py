"""Numbers, days and times in a notation of their own, as plain text."""

from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.tables.values.notation import DateNotation, NumberNotation, emptied


def plain(notation: NumberNotation | DateNotation, *cells: str | None) -> list[str | None]:
    return list(notation.plain(pa.array(cells, pa.string())).values.to_pylist())


@pytest.mark.parametrize(
    ("decimal", "thousands", "cells", "expected"),
    [
        (",", ".", ["1.234,50", "12,5", "1234,5", "1.234.567", ",5", "-1.000", " 7 ", None],
         ["1234.50", "12.5", "1234.5", "1234567", ".5", "-1000", "7", None]),
        (",", None, ["1,5", "1e3"], ["1.5", "1e3"]),
        (".", ",", ["1,234.5", "12"], ["1234.5", "12"]),
        (".", " ", ["1 234.5", "1\u00a0234", "1\u202f234"], ["1234.5", "1234", "1234"]),
        (".", "'", ["1'234", "1’234"], ["1234", "1234"]),
        (",", ".", ["NaN", "x"], ["NaN", "x"]),
    ],
)  # fmt: skip
def test_numbers_lose_their_marks(decimal: str, thousands: str | None, cells: list[str], expected: list[str]):
    assert plain(NumberNotation(decimal, thousands), *cells) == expected


@pytest.mark.parametrize(
    "cell", ["1.23,4", "12.34", "1.2345", "0.123", "1.5", "1.234.56", "1,234,5", ".123,5", "1..234"]
)
def test_a_wrong_grouping_is_refused(cell: str):
    converted = NumberNotation(",", ".").plain(pa.array(["1", cell]))
    assert converted.values.to_pylist() == ["1", None]
    assert converted.bad == [(1, f"{cell!r} is not a number with decimal mark ',' and thousands mark '.'")]


@given(
    st.integers(-(10**12), 10**12),
    st.integers(0, 99),
    st.sampled_from([(",", "."), (".", ","), (".", " "), (",", "'")]),
)
def test_what_is_written_with_marks_is_read_back(whole: int, cents: int, marks: tuple[str, str]):
    decimal, thousands = marks
    cell = f"{whole:,}".replace(",", thousands) + f"{decimal}{cents:02}"
    assert plain(NumberNotation(decimal, thousands), cell) == [f"{whole}.{cents:02}"]


@pytest.mark.parametrize(
    ("format", "cell", "expected"),
    [
        ("%d.%m.%Y", "31.01.2024", "2024-01-31"),
        ("%d.%m.%Y", "1.2.2024", "2024-02-01"),
        ("%d.%m.%Y %H:%M", "31.01.2024 10:30", "2024-01-31 10:30:00"),
        ("%m/%d/%y %I:%M %p", "1/31/24 9:05 PM", "2024-01-31 21:05:00"),
        ("%d %b %Y", "31 Jan 2024", "2024-01-31"),
        ("%Y%m%d", "20240131", "2024-01-31"),
        ("%d.%m.%Y %H:%M %z", "31.01.2024 10:30 +0200", "2024-01-31 10:30:00+02:00"),
        ("%H.%M", "9.05", "09:05:00"),
    ],
)
def test_days_and_times_are_read_by_their_format(format: str, cell: str, expected: str):
    assert plain(DateNotation(format), cell, None, f" {cell} ") == [expected, None, expected]


@pytest.mark.parametrize(
    "cell", ["30.02.2024", "31.04.2024", "29.02.2023", "32.01.2024", "01.02.24", "2024-01-31", "x", "01.02.2024x"]
)
def test_what_is_not_as_the_format_or_no_day_is_refused_beside_good_ones_and_alone(cell: str):
    for cells in ([cell], ["01.02.2024", cell]):
        converted = DateNotation("%d.%m.%Y").plain(pa.array(cells))
        assert converted.bad == [(len(cells) - 1, f"{cell!r} is not as %d.%m.%Y")]


@given(st.lists(st.datetimes(min_value=datetime(1000, 1, 1)), min_size=1))
def test_every_day_is_read_as_it_was_written(moments: list[datetime]):
    cells = [moment.strftime("%d/%m/%Y %H:%M:%S") for moment in moments]
    expected = [str(moment.replace(microsecond=0)) for moment in moments]
    assert plain(DateNotation("%d/%m/%Y %H:%M:%S"), *cells) == expected


def test_words_for_nothing_are_whole_cells():
    cells = pa.array(["NA", " NA ", "NAN", "", None])
    assert emptied(cells, ["NA"]).to_pylist() == [None, None, "NAN", "", None]
