"""Arrays in one cell: lists of JSON, or as PostgreSQL writes them."""

import json
import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.values.arrays import Converted, Kind, quoted, trimmed

#: An array as PostgreSQL writes it where it does not begin with a brace: [0:1]={a,b}.
_BOUNDS = re.compile(r"\[-?\d+:-?\d+\]")


class ArrayOf(Kind):
    """Arrays of values of one kind, nested ones too, as PostgreSQL's literals.

    Args:
        kind: of the elements.
        is_json: whether the elements are JSON themselves.
    """

    def __init__(self, kind: Kind, is_json: bool = False) -> None:
        self._kind, self._is_json = kind, is_json

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column; what is no list of JSON is left to the server to read."""
        texts = trimmed(cells).to_pylist()
        bad: dict[int, str] = {}
        lists: dict[int, list[Any]] = {}
        for index, text in enumerate(texts):
            if text is not None and text.startswith("[") and not _BOUNDS.match(text):
                try:
                    lists[index] = self._parsed(text)
                except ValueError as error:
                    bad[index] = str(error)
        elements = {index: list(_elements(found)) for index, found in lists.items()}
        literals, wrong = self._literals([element for each in elements.values() for element in each])
        place = 0
        for index, found in elements.items():
            mine = range(place, place + len(found))
            place += len(found)
            refused = next((number for number in mine if number in wrong), None)
            if refused is not None:
                bad[index] = f"element {refused - mine.start + 1} of {quoted(texts[index])}: {wrong[refused]}"
            else:
                texts[index] = _literal(lists[index], iter([literals[number] for number in mine]))
        for index in bad:
            texts[index] = None
        return Converted(pa.array(texts, pa.string()), sorted(bad.items()))

    def _parsed(self, text: str) -> list[Any]:
        try:
            # a number keeps its text, so that none is rounded
            found: list[Any] = json.loads(text) if self._is_json else json.loads(text, **_AS_TEXT)
        except (ValueError, RecursionError):
            raise ValueError(f"{quoted(text)} is neither a list of JSON nor an array") from None
        if self._is_json:
            return [None if element is None else json.dumps(element, ensure_ascii=False) for element in found]
        if _shape(found) is None:
            raise ValueError(f"{quoted(text)} has lists of different lengths or depths, which no array has")
        if any(isinstance(element, dict) for element in _elements(found)):
            raise ValueError(f"{quoted(text)} has an object among its elements")
        return found

    def _literals(self, elements: list[Any]) -> tuple[list[str], dict[int, str]]:
        converted = self._kind.convert(pa.array([_text(element) for element in elements], pa.string()))
        return [_quoted(value) for value in _texts(converted.values)], dict(converted.bad)


_AS_TEXT: dict[str, Any] = {"parse_float": str, "parse_int": str, "parse_constant": str}


def _shape(value: Any) -> tuple[int, ...] | None:
    """How long a list is at each depth; ``None`` where that differs."""
    if not isinstance(value, list):
        return ()
    shapes = {_shape(element) for element in value}
    if len(shapes) > 1 or None in shapes:
        return None
    return (len(value), *(shapes.pop() or () if shapes else ()))


def _elements(value: list[Any]) -> Any:
    for element in value:
        yield from _elements(element) if isinstance(element, list) else (element,)


def _text(element: Any) -> str | None:
    if isinstance(element, bool):
        return "true" if element else "false"
    return None if element is None else str(element)


def _texts(values: pa.Array) -> list[str | None]:
    if pa.types.is_binary(values.type):
        return [None if value is None else f"\\x{value.hex()}" for value in values.to_pylist()]
    texts: list[str | None] = pc.cast(values, pa.string()).to_pylist()
    return texts


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _literal(value: list[Any], literals: Any) -> str:
    if not any(True for _ in _elements(value)):
        return "{}"  # the server has no array of empty arrays
    parts = [_literal(element, literals) if isinstance(element, list) else next(literals) for element in value]
    return f"{{{','.join(parts)}}}"
