"""From ``-c KEY=VALUE`` and ``--context`` to a job's context, by the fields of the strategy's model."""

import json
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from batch_jobs.deployments.errors import UsageRefused

#: Puts a local file into the file store and returns its key.
PutFile = Callable[[Path], str]


def read_context(model: type[BaseModel], pairs: Sequence[str], whole: str | None, put: PutFile) -> dict[str, Any]:
    """Return the context that was typed; its values are validated later, by the model.

    Args:
        model: the strategy's ``Context``.
        pairs: each ``KEY=VALUE``; ``KEY=@PATH`` puts a file into the store and means its key, ``@@`` means ``@``. A
            key that takes a list may come several times.
        whole: a JSON object, or ``@FILE`` with one; ``pairs`` add to it.
        put: puts a file into the store.

    Raises:
        UsageRefused: it cannot be read.
    """
    context = _whole(whole) if whole is not None else {}
    files: list[tuple[str, Path]] = []
    for pair in pairs:
        key, text = _split(pair)
        if text.startswith("@") and not text.startswith("@@"):
            files.append((key, _readable(Path(text[1:]).expanduser())))
        else:
            value = _value(_field(model, key), key, text[1:] if text.startswith("@@") else text)
            _add(model, context, key, value)
    for key, path in files:
        _add(model, context, key, put(path))
    return context


def _split(pair: str) -> tuple[str, str]:
    key, equals, text = pair.partition("=")
    if not equals or not key.strip():
        raise UsageRefused(f"-c takes KEY=VALUE, not {pair!r}")
    return key.strip(), text


def _whole(text: str) -> dict[str, Any]:
    source = "--context"
    if text.startswith("@"):
        source = text[1:]
        text = _readable(Path(source).expanduser()).read_text(encoding="utf-8", errors="replace")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageRefused(f"{source} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageRefused(f'{source} must be a JSON object such as {{"limit": 10}}')
    return value


def _readable(path: Path) -> Path:
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise UsageRefused(f"the file {path} cannot be read: {error.strerror}") from None


def _add(model: type[BaseModel], context: dict[str, Any], key: str, value: Any) -> None:
    field, before = _field(model, key), context.get(key)
    if before is not None and field is not None and any(_is_list(kind) for kind in _kinds(field.annotation)):
        context[key] = [*_as_list(before), *_as_list(value)]
    else:
        context[key] = value


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _field(model: type[BaseModel], key: str) -> FieldInfo | None:
    for name, field in model.model_fields.items():
        choices = getattr(field.validation_alias, "choices", [field.validation_alias])
        if key in (name, field.alias, *choices):
            return field
    return None


def _value(field: FieldInfo | None, key: str, text: str) -> Any:
    kinds = _kinds(field.annotation) if field else [str]
    if str in kinds and not _is_json_of(kinds, text):
        return text
    if text == "null" and type(None) in kinds:
        return None
    if any(_is_list(kind) for kind in kinds):
        return _json(key, text) if text.startswith("[") else [part.strip() for part in text.split(",") if part.strip()]
    if any(_is_mapping(kind) for kind in kinds):
        return _json(key, text)
    return _literal(kinds, text)


def _is_json_of(kinds: list[Any], text: str) -> bool:
    """Whether a field takes text and more, and this is a list or a mapping for it."""
    fits = {"[": any(map(_is_list, kinds)), "{": any(map(_is_mapping, kinds))}
    if not fits.get(text[:1]):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _kinds(annotation: Any) -> list[Any]:
    """Return the plain types a field may have: those of a union, without ``Annotated``."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return [kind for part in get_args(annotation) for kind in _kinds(part)]
    if hasattr(annotation, "__metadata__"):
        return _kinds(get_args(annotation)[0])
    return [annotation]


def _is_list(kind: Any) -> bool:
    return (get_origin(kind) or kind) in (list, set, tuple, frozenset, Sequence)


def _is_mapping(kind: Any) -> bool:
    shape = get_origin(kind) or kind
    return shape is Any or (isinstance(shape, type) and issubclass(shape, BaseModel | Mapping))


def _literal(kinds: list[Any], text: str) -> Any:
    """Return text as the model reads it; only a choice of numbers it would not find by their text."""
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    return next((choice for choice in choices if str(choice) == text), text)


def _json(key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise UsageRefused(f'{key} takes JSON, such as \'{{"a": "b"}}\' or \'["a"]\'; {text!r} is not') from None
