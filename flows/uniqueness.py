"""Of which jobs only one may be active, as their strategy declares it."""

import json
from hashlib import sha256
from typing import Any

from pydantic import BaseModel

from strategies.base import BatchJobStrategy

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
