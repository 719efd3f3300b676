"""A job's context: checked, prepared, and the key that two jobs share."""

from typing import Any

import pytest
from pydantic import BaseModel, Field

from batch_jobs.flows.jobs.context import KEY_LENGTH, prepared_context, unique_key
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import ContextRefused


class Context(BaseModel):
    limit: int = Field(gt=0)
    name: str = Field("x", validation_alias="called")


class Doing(BatchJobStrategy, abstract=True):
    identifier = "doing-strategy"
    batch_type = "doing"
    Context = Context

    def prepare(self, context: Any) -> Any:
        return context.model_copy(update={"name": context.name.upper()})

    def process(self, job: Any) -> None:
        return

    def build_template(self) -> str:
        return ""


def test_a_context_is_checked_and_prepared():
    assert prepared_context(Doing(), {"limit": 2, "called": "mug"}).model_dump() == {"limit": 2, "name": "MUG"}


@pytest.mark.parametrize(
    ("given", "words", "missing"),
    [
        ({"limt": 2}, "doing takes no limt; its context has limit, name", []),
        ({}, "the context of doing is wrong: limit is missing", ["limit"]),
        ({"limit": 0}, "the context of doing is wrong: limit: Input should be greater than 0", []),
    ],
)
def test_a_wrong_context_is_refused_in_one_line(given: dict[str, Any], words: str, missing: list[str]):
    with pytest.raises(ContextRefused) as refused:
        prepared_context(Doing(), given)
    assert str(refused.value) == words
    assert list(refused.value.missing) == missing


def _key(unique: Any, **context: Any) -> str | None:
    kind = type("Kind", (Doing,), {"unique": staticmethod(unique) if callable(unique) else unique}, abstract=True)
    return unique_key(kind(), Context.model_construct(**{"limit": 1, "name": "x", **context}))


def test_jobs_share_a_key_by_type_by_a_value_or_by_their_whole_context():
    assert _key(None) is None
    assert _key("type") == "doing"
    assert _key(lambda context: context.name, name="mug") == "doing:mug"
    assert _key("context") == 'doing:{"limit": 1, "name": "x"}'


def test_a_key_longer_than_its_column_is_replaced_by_one_of_the_same_length_for_all():
    first, second = (_key(lambda context: context.name, name=letter * 300) or "" for letter in "ab")
    assert first != second
    assert len(first) == len(second) <= KEY_LENGTH
