"""What the fields of a context name: a file, a table, a query, an address. Whoever has to allow that finds them here.

A strategy marks a field by its type: ``key: FileKey``, ``tables: list[TableName]``, ``query: Query | None``. A field
called ``file_key`` (or ``fileKey``) names files without a mark.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field, SecretStr
from pydantic.fields import FieldInfo


class Names(Enum):
    """What a text stands for."""

    FILE = "file"
    TABLE = "table"
    QUERY = "query"
    SOURCE = "source"


FileKey = Annotated[str, Names.FILE]
TableName = Annotated[str, Names.TABLE]
Query = Annotated[str, Names.QUERY]
#: An address that a file is fetched from; a secret, since it may hold a password or a signature.
SourceAddress = Annotated[SecretStr, Names.SOURCE]

#: Whether what the job changes is kept; ``None`` leaves it to the setting.
KeepChanges = Annotated[
    bool | None,
    Field(
        title="Keep changes",
        description="Keep what the job changes, row by row, to look at it and to undo it; default: the setting "
        "KEEP_CHANGES, which is on",
    ),
]

FILE_FIELDS = frozenset({"file_key", "fileKey"})

#: Gets what a field names, ``None`` where that is nothing, and its value; returns the value to have in its place.
See = Callable[[Names | None, Any], Any]


def changed(model: type[BaseModel], values: Mapping[str, Any], see: See) -> dict[str, Any]:
    """A context as it was given, with what ``see`` makes of each field's value, also of the fields of models in it."""
    return _changed([model], values, see)


def named(model: type[BaseModel], values: Mapping[str, Any], kind: Names) -> list[str]:
    """The texts of a context that name something of a kind, but for empty ones."""
    found: list[str] = []

    def see(names: Names | None, value: Any) -> Any:
        if names is kind:
            found.extend(text for _, text in texts(value) if text.strip())
        return value

    changed(model, values, see)
    return found


def kind_of(name: str, field: FieldInfo | None) -> Names | None:
    """What a field names, by its mark or by its name; ``None`` where that is nothing."""
    marks = () if field is None else (*field.metadata, *_marks(field.annotation))
    marked = next((mark for mark in marks if isinstance(mark, Names)), None)
    return marked or (Names.FILE if name in FILE_FIELDS else None)


def keys_of(name: str, field: FieldInfo) -> Iterator[str]:
    """The names under which a field's value may stand in a context."""
    alias = field.validation_alias
    yield from (key for key in (name, field.alias, *getattr(alias, "choices", [alias])) if isinstance(key, str))


def texts(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a value, after the name of the field that it is in; the keys of a mapping are no texts."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, SecretStr):
        yield field, value.get_secret_value()
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from texts(part, key)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts(part, field)


def _changed(models: Sequence[type[BaseModel]], values: Mapping[str, Any], see: See) -> dict[str, Any]:
    fields = {
        name: field for model in models for key, field in model.model_fields.items() for name in keys_of(key, field)
    }
    return {name: _value(fields.get(name), name, value, see) for name, value in values.items()}


def _value(field: FieldInfo | None, name: str, value: Any, see: See) -> Any:
    kind = kind_of(name, field)
    inner = list(_models(field.annotation)) if field is not None and kind is None else []
    if inner and isinstance(value, Mapping):
        return _changed(inner, value, see)
    if inner and isinstance(value, list):
        return [_changed(inner, part, see) if isinstance(part, Mapping) else see(kind, part) for part in value]
    return see(kind, value)


def _marks(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for part in get_args(annotation):
        yield from _marks(part)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
