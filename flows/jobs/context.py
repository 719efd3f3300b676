"""From what was given for a job to its context: checked by the strategy's model, prepared by the strategy, unique."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import ContextRefused, exits_as_errors
from batch_jobs.strategies.sdk.partition import MOST_PARTITIONS

#: Where in a model a value stands: names of fields and positions in lists.
Location = tuple[int | str, ...]
KEY_LENGTH = 255  # characters of the job table's column
MOST_SHOWN = 10  # of what is wrong; of a long list every value may be


def prepared_context(strategy: BatchJobStrategy, context: BaseModel | dict[str, Any]) -> BaseModel:
    """Check a context against the strategy and let it prepare it.

    Raises:
        ContextRefused: it has unknown or wrong fields, or the strategy refuses it.
    """
    values = context.model_dump() if isinstance(context, BaseModel) else context
    _refuse_unknown(strategy, values)
    model = strategy.Context
    try:
        with exits_as_errors():
            prepared: BaseModel = model.model_validate(strategy.prepare(model.model_validate(values)))
    except ValidationError as error:
        missing = [_dotted(entry["loc"]) for entry in _first_wrong(error) if entry["type"] == "missing"]
        reasons = describe_wrong_values(error, _dotted)
        raise ContextRefused(f"the context of {strategy.batch_type} is wrong: {reasons}", missing) from None
    return prepared


def unique_key(strategy: BatchJobStrategy, context: BaseModel) -> str | None:
    """The key that two jobs share of which only one may be active; ``None`` where any number may be."""
    unique: Any = type(strategy).unique
    if unique is None:
        return None
    if unique == "type":
        return strategy.batch_type
    value = unique(context) if callable(unique) else context.model_dump(mode="json")
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    key = f"{strategy.batch_type}:{text}"
    return key if len(key) <= KEY_LENGTH else sha256(key.encode()).hexdigest()


def describe_wrong_values(error: ValidationError, name: Callable[[Location], str]) -> str:
    """What is wrong in one line, the first of it where it is much.

    Args:
        error: what a model made of the values.
        name: how the reader knows the value of a place; an empty name is left out.
    """
    described = []
    for entry in _first_wrong(error):
        place = name(entry["loc"])
        if entry["type"] == "missing":
            described.append(f"{place} is missing")
        else:
            message = str(entry["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
            described.append(f"{place}: {message}" if place else message)
    more = error.error_count() - len(described)
    return "; ".join([*described, *([f"and {more} more"] if more else [])])


def _first_wrong(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_input=False)[:MOST_SHOWN]


def checked_partitions(value: Any) -> int | None:
    """A number of partitions as it was given.

    Raises:
        ValueError: it is none; the text goes on after the name of what was given.
    """
    if value is None or (type(value) is int and 1 <= value <= MOST_PARTITIONS):
        return value
    raise ValueError(f"must be a whole number from 1 to {MOST_PARTITIONS:,}")


def _refuse_unknown(strategy: BatchJobStrategy, values: dict[str, Any]) -> None:
    model = strategy.Context
    known = {name for key, field in model.model_fields.items() for name in (key, field.alias, *_aliases(field)) if name}
    unknown = sorted(set(values) - known)[:MOST_SHOWN]
    if unknown and model.model_config.get("extra") is None:
        fields = ", ".join(sorted(model.model_fields)) or "no fields"
        raise ContextRefused(f"{strategy.batch_type} takes no {', '.join(unknown)}; its context has {fields}")


def _aliases(field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    choices = getattr(alias, "choices", [alias])
    return [choice for choice in choices if isinstance(choice, str)]


def _dotted(place: Location) -> str:
    return ".".join(map(str, place))
