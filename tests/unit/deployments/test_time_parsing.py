"""Times as people and programs write them."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.deployments.time_parsing import parse_time


@pytest.mark.parametrize("text", ["2026-01-31", "2026-01-31T00:00:00Z", "2026-01-31T02:00+02:00", "20260131T000000"])
def test_a_time_is_in_utc_whatever_its_zone(text: str):
    assert parse_time(text) == datetime(2026, 1, 31, tzinfo=UTC)
    assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-02-30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:00-14:00"])
def test_what_is_none_is_refused(text: str):
    with pytest.raises(ValueError):
        parse_time(text)


@given(st.text())
def test_any_text_is_a_time_or_refused(text: str):
    with contextlib.suppress(ValueError):
        assert parse_time(text).tzinfo is UTC
