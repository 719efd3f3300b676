"""What pydantic found wrong with a value, in our words."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError


def wrong_values(error: ValidationError) -> list[Mapping[str, Any]]:
    """Each thing that is wrong: where (``loc``), what kind (``type``) and in words (``msg``)."""
    return error.errors(include_url=False, include_input=False)  # type: ignore[return-value]


def told(entry: Mapping[str, Any], name: str) -> str:
    """One of these in a line: the name of the value, if there is one, and what is wrong with it."""
    if entry["type"] == "missing":
        return f"{name} is missing"
    message = str(entry["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"{name}: {message}" if name else message
