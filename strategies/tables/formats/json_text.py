"""Values as JSON text that says exactly what they are."""

import json
from base64 import b16encode
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

HALF = "has half a surrogate pair, which is no character"


class Number(float):
    """A number that keeps the text it was written as, so that none is rounded."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class NoNumber:
    """NaN or an infinity, as many programs write it and JSON does not know it."""

    def __init__(self, text: str) -> None:
        self.text = text


def as_json(value: Any, comma: str = ",", colon: str = ":") -> str:
    """A value as JSON text.

    Args:
        value: with all that is in it.
        comma: between items.
        colon: between a key and its item.

    Raises:
        ValueError: JSON has no such value; says what is wrong.
    """
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Number | NoNumber | float | Decimal):
        return _number(value)
    if isinstance(value, Mapping):
        pairs = (f"{_string(str(key))}{colon}{as_json(item, comma, colon)}" for key, item in value.items())
        return "{" + comma.join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + comma.join(as_json(item, comma, colon) for item in value) + "]"
    return _string(_text(value))


def _string(text: str) -> str:
    if not text.isascii() and not is_text(text):
        raise ValueError(HALF)
    return json.dumps(text, ensure_ascii=False)


def is_text(text: str) -> bool:
    """Whether a string is one of characters: JSON allows half a surrogate pair, which is none in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(value: "Number | NoNumber | float | Decimal") -> str:
    if isinstance(value, Number):
        return value.text
    if isinstance(value, NoNumber) or not isfinite(value):
        raise ValueError(f"has {value.text if isinstance(value, NoNumber) else value}, which JSON does not know")
    return str(value) if isinstance(value, Decimal) else repr(value)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"\\x{b16encode(value).decode().lower()}"
    if isinstance(value, timedelta | date | time | UUID):
        return str(value)
    raise ValueError(f"has a {type(value).__name__}, which JSON does not know")
