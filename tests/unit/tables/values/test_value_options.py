"""How cells are to be understood, and what is refused before a job is made."""

from typing import Any

import pytest
from pydantic import ValidationError

from batch_jobs.strategies.tables.values.options import ValueOptions


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"decimal": ",", "thousands": ","}, "decimal and thousands are both ','; they must differ"),
        ({"thousands": "."}, "decimal and thousands are both '.' unless decimal is given; they must differ"),
        ({"thousands": "1"}, "thousands may not be '1'"),
        ({"thousands": "-"}, "thousands may not be '-'"),
        ({"date_format": "%d.%m.%Q"}, "has %Q, which is not read"),
        ({"date_format": {"day": "%d.%m.%Y", "at": "%s"}}, "has %s, which is not read"),
        ({"date_format": "%d.%m"}, "does not give a whole day or time"),
        ({"date_format": "%I:%M"}, "does not give a whole day or time"),
        ({"date_format": "%Y-%m-%d %I:%M"}, "does not give a whole day or time"),
        ({"date_format": "today"}, "does not give a whole day or time"),
        ({"date_format": ""}, "does not give a whole day or time"),
        ({"date_format": "%d.%d.%Y"}, "does not give a whole day or time"),
        ({"time_zone": "Mars/Olympus"}, "'Mars/Olympus' is not a time zone"),
        ({"time_zone": "../zones"}, "'../zones' is not a time zone"),
        ({"types": {"n": "nummer"}}, "'nummer' is not a type"),
        ({"empty": "zero"}, "Input should be"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], reason: str):
    with pytest.raises(ValidationError, match="1 validation error") as refused:
        ValueOptions(**given)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        {"decimal": ",", "thousands": "."},
        {"decimal": ","},
        {"thousands": ","},
        {"thousands": "'"},
        {"date_format": "%d.%m.%Y"},
        {"date_format": "%d.%m.%Y %H:%M:%S.%f %z"},
        {"date_format": "%H:%M"},
        {"date_format": "%I:%M %p"},
        {"date_format": "%G-W%V-%u"},
        {"date_format": {"a": "%Y%j"}},
        {"time_zone": "Europe/Vienna"},
        {"types": {"a": "numeric(10,2)", "b": "timestamptz"}},
    ],
)
def test_what_can_be_meant_is_taken(given: dict[str, Any]):
    assert ValueOptions(**given).model_dump(exclude_unset=True) == given


def test_columns_that_are_not_there_are_named_by_option():
    options = ValueOptions(types={"a": "text", "b": "text"}, date_format={"c": "%Y-%m-%d"})
    assert options.unknown_columns(["a"]) == {"types": ["b"], "date_format": ["c"]}
    assert options.unknown_columns(["a", "b", "c"]) == {}
