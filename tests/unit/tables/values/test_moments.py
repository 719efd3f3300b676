"""Days and times: local ones in a zone, digits of a second, and what only PostgreSQL has."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.tables.values.arrays import Kind
from batch_jobs.strategies.tables.values.moments import (
    Moments,
    beyond_days,
    beyond_moments,
    beyond_times,
    clock_text,
    day,
    time_of_day,
)


def message(kind: Kind, cell: str) -> str | None:
    alone, beside = (kind.convert(pa.array(cells)) for cells in ([cell], [cell, "no value"]))
    assert alone.bad == beside.bad[: len(alone.bad)]
    return alone.bad[0][1] if alone.bad else None


@pytest.mark.parametrize(
    ("kind", "cell", "wrong"),
    [
        (Moments(False), "2024-01-01 10:00:00.1234567", True),
        (Moments(False), "2024-01-01 10:00:00.123456000", False),
        (Moments(True), "2024-01-01T10:00:00.123456789Z", True),
        (Moments(False, digits=0), "2024-01-01 10:00:00.5", True),
        (Moments(False, digits=0), "2024-01-01 10:00:00.0", False),
        (Moments(False, digits=3), "2024-01-01 10:00:00.1234", True),
        (Moments(False, digits=3), "2024-01-01 10:00:00.123", False),
        (time_of_day(), "10:00:00.1234567", True),
        (time_of_day(0), "10:00:00.5", True),
        (time_of_day(), "10:00:00.1234560", False),
        (clock_text(), "10:00:00.1234567+01", True),
        (clock_text(), "1 day 00:00:01.5", False),
        (clock_text(0), "00:00:01.5", True),
        (day(), "2024-01-01 00:00:00.0000000", False),
    ],
)
def test_A15_more_digits_of_a_second_than_are_kept_are_refused_unless_zeros(kind: Kind, cell: str, wrong: bool):
    assert ("digits of a second" in (message(kind, cell) or "")) is wrong


@pytest.mark.parametrize("kind", [day(), Moments(False), Moments(True)])
def test_there_is_no_year_0(kind: Kind):
    for cell in ("0000-01-01", "0000-12-31"):
        assert "there is no such day" in (message(kind, cell) or "")
    assert "before or after all times" in (message(Moments(True), "0001-01-01 00:00:00+05:00") or "")


def test_local_times_that_do_not_exist_or_are_twice_are_refused():
    kind = Moments(True, "Europe/Vienna")
    assert message(kind, "2024-03-31 02:30:00") == (
        "'2024-03-31 02:30:00' does not exist in Europe/Vienna: clocks are put forward there"
    )
    assert (
        message(kind, "2024-10-27 02:30") == "'2024-10-27 02:30' is twice in Europe/Vienna: clocks are put back there"
    )
    assert message(kind, "2024-10-27 02:30:00+01:00") is None


@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), min_size=1))
def test_moments_of_a_zone_go_there_and_back(moments: list[datetime]):
    zone = ZoneInfo("America/New_York")
    utc = [moment.replace(tzinfo=UTC) for moment in moments]
    cells = pa.array([moment.isoformat(sep=" ") for moment in utc])
    local = Moments(False, str(zone)).convert(cells)
    assert local.values.to_pylist() == [moment.astimezone(zone).replace(tzinfo=None, fold=0) for moment in utc]
    back = Moments(True, str(zone)).convert(local.values.cast(pa.string()))
    bad = {index for index, _ in back.bad}
    assert all(back.values[index].as_py() == moment for index, moment in enumerate(utc) if index not in bad)
    assert all("is twice in" in reason for _, reason in back.bad)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("infinity", "infinity"),
        ("-Infinity", "-infinity"),
        ("0044-03-15 BC", "0044-03-15 BC"),
        ("0001-02-29 BC", "0001-02-29 BC"),
        ("0002-02-29 BC", None),
        ("10000-01-01", "10000-01-01"),
        ("10000-02-30", None),
        ("5874898-01-01", None),
        ("4714-01-01 BC", None),
        ("10000-01-01 10:00:00", None),
        ("2024-13-01", None),
    ],
)
def test_D1_days_that_only_postgresql_has(cell: str, text: str | None):
    assert beyond_days(cell) == text


@pytest.mark.parametrize(
    ("zoned", "zone", "cell", "text"),
    [
        (False, None, "infinity", "infinity"),
        (False, None, "0044-03-15 10:00:00 BC", "0044-03-15 10:00:00 BC"),
        (False, None, "10000-01-01 10:00:00.5", "10000-01-01 10:00:00.5"),
        (False, None, "10000-01-01 10:00:00.1234567", None),
        (False, None, "10000-01-01 10:00:00+00", None),
        (True, None, "10000-01-01 10:00:00+00", "10000-01-01 10:00:00+00"),
        (True, None, "10000-01-01 10:00:00", "10000-01-01 10:00:00+00"),
        (True, "Europe/Vienna", "10000-01-01 10:00:00", None),
        (True, None, "0044-03-15 10:00:00+00 BC", "0044-03-15 10:00:00+00 BC"),
    ],
)
def test_D1_moments_that_only_postgresql_has(zoned: bool, zone: str | None, cell: str, text: str | None):
    assert beyond_moments(zoned, zone)(cell) == text


def test_D1_the_end_of_a_day():
    assert [beyond_times(cell) for cell in ("24:00", "24:00:00.000", "24:01", "25:00")] == ["24:00:00"] * 2 + [None] * 2
