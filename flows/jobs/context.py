"""From what was given for a job to its context: validated by the strategy's model, prepared by the strategy, unique."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from pydantic import BaseModel, ValidationError

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import ContextRefused, exits_as_errors


def wrong_values(error: ValidationError) -> list[Mapping[str, Any]]:
    """Each thing that is wrong: where (``loc``), what kind (``type``) and in words (``msg``)."""
    return error.errors(include_url=False, include_input=False)  # type: ignore[return-value]


def told(entry: Mapping[str, Any], name: str) -> str:
    """One of these in a line: the name of the value, if there is one, and what is wrong with it."""
    if entry["type"] == "missing":
        return f"{name} is missing"
    message = str(entry["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"{name}: {message}" if name else message


def prepared_context(strategy: BatchJobStrategy, context: BaseModel | dict[str, Any]) -> BaseModel:
    """Check a context against the strategy and let it prepare it.

    Raises:
        ContextRefused: it has unknown or wrong fields, or the strategy refuses it.
    """
    model = strategy.Context
    values = context.model_dump() if isinstance(context, BaseModel) else context
    known = {name for key, field in model.model_fields.items() for name in (key, field.alias, *_aliases(field)) if name}
    unknown = sorted(set(values) - known)
    if unknown and model.model_config.get("extra") is None:
        fields = ", ".join(sorted(model.model_fields)) or "no fields"
        raise ContextRefused(f"{strategy.batch_type} takes no {', '.join(unknown)}; its context has {fields}")
    try:
        with exits_as_errors():
            prepared: BaseModel = model.model_validate(strategy.prepare(model.model_validate(values)))
    except ValidationError as error:
        raise _refused(strategy, error) from None
    return prepared


def _aliases(field: Any) -> list[str]:
    alias = field.validation_alias
    choices = getattr(alias, "choices", [alias])
    return [choice for choice in choices if isinstance(choice, str)]


def _refused(strategy: BatchJobStrategy, error: ValidationError) -> ContextRefused:
    wrong = [(".".join(map(str, entry["loc"])), entry) for entry in wrong_values(error)]
    reasons = "; ".join(told(entry, name) for name, entry in wrong)
    missing = [name for name, entry in wrong if entry["type"] == "missing"]
    return ContextRefused(f"the context of {strategy.batch_type} is wrong: {reasons}", missing)


KEY_LENGTH = 255


def unique_key(strategy: BatchJobStrategy, context: BaseModel) -> str | None:
    """The key that two jobs share of which only one may be active; ``None`` where any number may be."""
    unique: Any = type(strategy).unique
    if unique is None:
        return None
    if unique == "type":
        return strategy.batch_type
    value = unique(context) if callable(unique) else context.model_dump(mode="json")
    return _short(f"{strategy.batch_type}:{_text(value)}")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _short(key: str) -> str:
    return key if len(key) <= KEY_LENGTH else sha256(key.encode()).hexdigest()
