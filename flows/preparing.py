"""From what was given for a job to its context: checked against the strategy's model, and prepared by the strategy."""

from typing import Any

from pydantic import BaseModel, ValidationError

from strategies.base import BatchJobStrategy
from strategies.errors import ContextRefused
from strategies.exits import exits_as_errors


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
        raise ContextRefused(f"the context of {strategy.batch_type} is wrong: {_one_line(error)}") from None
    return prepared


def _aliases(field: Any) -> list[str]:
    alias = field.validation_alias
    choices = getattr(alias, "choices", [alias])
    return [choice for choice in choices if isinstance(choice, str)]


def _one_line(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, entry['loc'])) or 'it'}: {entry['msg']}" for entry in details)
