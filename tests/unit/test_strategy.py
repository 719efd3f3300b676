"""What makes a class a strategy."""

from typing import ClassVar

import pytest

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import StrategyIncomplete


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({}, "identifier, batch_type, process, build_template"),
        ({"identifier": "x-strategy", "process": print, "build_template": str}, "batch_type"),
        ({"batch_type": "x", "process": print, "build_template": str}, "identifier"),
        ({"identifier": "x-strategy", "batch_type": "x", "build_template": str}, "process"),
        ({"identifier": "x-strategy", "batch_type": "x", "process": print}, "build_template"),
        ({"identifier": " ", "batch_type": "x", "process": print, "build_template": str}, "identifier"),
        (
            {"identifier": "x-strategy", "batch_type": "x", "process": print, "build_template": str, "Context": dict},
            "a Context that is a pydantic model",
        ),
    ],
)
def test_an_incomplete_strategy_is_refused_when_it_is_defined_naming_what_is_missing(
    body: dict[str, object], missing: str
):
    with pytest.raises(StrategyIncomplete, match=f"strategy Incomplete lacks {missing};"):
        type("Incomplete", (BatchJobStrategy,), body)


def test_what_is_shared_between_strategies_may_be_incomplete():
    class Shared(BatchJobStrategy, abstract=True):
        identifier: ClassVar[str] = "shared"

    with pytest.raises(StrategyIncomplete, match="lacks batch_type, process, build_template"):
        type("Child", (Shared,), {})


def test_the_description_is_the_docstrings_first_paragraph_in_one_line():
    class Described(BatchJobStrategy):
        """Count
        the rows.

        Not this.
        """

        identifier = "described-strategy"
        batch_type = "described"

        def process(self, job: object) -> None:
            """Do nothing."""

        def build_template(self) -> str:
            return ""

    assert Described.description() == "Count the rows."
