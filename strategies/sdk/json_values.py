"""What JSON, and a database's text, can hold."""

import json
import math
from collections.abc import Iterator
from typing import Any

from batch_jobs.strategies.sdk.errors import PermanentError


class NotJson(PermanentError, TypeError):
    """A strategy gave a value that is no JSON where it has to be kept as such."""


def require_json(value: Any, place: str) -> None:
    """Refuse a value that cannot be kept as JSON.

    Args:
        value: what is to be kept.
        place: what it is, as the strategy's author knows it, such as ``job.plan``.

    Raises:
        NotJson: names the part that is none.
    """
    if not is_json(value):
        found = next(_wrong_parts(value, place), f"{place} contains itself")
        raise NotJson(f"{found}, which JSON has not; keep texts, numbers, true, false, null, lists and dicts of them")


def is_json(value: Any) -> bool:
    """Whether a value can be kept as JSON; NaN and infinity, which Python would write, are none."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def storable(text: str) -> str:
    """The text without what no database takes: halves of surrogate pairs, and NUL."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def storable_json(value: Any) -> Any:
    """The value with every text as it can be stored; itself where all of them can."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isascii() and "\\u0000" not in text:
        return value
    cleaned = text.encode(errors="replace").decode().replace("\\u0000", "\N{REPLACEMENT CHARACTER}")
    return value if cleaned == text else json.loads(cleaned)


def _wrong_parts(value: Any, place: str, depth: int = 0) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{place} is {value}"
    elif isinstance(value, dict) and depth < 100:
        for key, inner in value.items():
            if not isinstance(key, str | int | float | None):
                yield f"{place} has a key that is a {type(key).__name__}"
            yield from _wrong_parts(inner, f"{place}[{key!r}]", depth + 1)
    elif isinstance(value, list | tuple) and depth < 100:
        for index, inner in enumerate(value):
            yield from _wrong_parts(inner, f"{place}[{index}]", depth + 1)
    elif not isinstance(value, str | int | float | None | dict | list | tuple):
        yield f"{place} is a {type(value).__name__}"
