"""From what was given for a job to its context: checked against the strategy's model, and prepared by the strategy."""

from typing import Any

from pydantic import BaseModel, ValidationError

from flows.wrong_values import told, wrong_values
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
