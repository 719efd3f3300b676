"""Values of a database whose columns may hold any kind, as Arrow columns that give back the same."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

#: In a field's metadata: its texts begin with the kind of the value that follows.
MIXED = {b"batch_jobs": b"mixed"}


class UndecodableText(bytes):
    """A text that is not in UTF-8, which nothing keeps a database from having."""


_READ: dict[str, Callable[[str], Any]] = {
    "s": str,
    "b": bytes.fromhex,
    "f": float,
    "i": int,
    "t": UndecodableText.fromhex,
}
_TYPES: dict[type, pa.DataType] = {int: pa.int64(), float: pa.float64(), str: pa.string(), bytes: pa.binary()}


def stored_table(names: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Collection[str] = ()) -> pa.Table:
    """Rows of integers, floating-point numbers, texts, bytes and nulls, each column of one of them or of several.

    Args:
        names: of the columns.
        rows: the values.
        numbers: the columns that make an integer of a floating-point number without fraction by themselves.
    """
    columns = [list(values) for values in zip(*rows, strict=True)] if rows else [[] for _ in names]
    return stored_columns(names, columns, numbers)


def stored_columns(names: Sequence[str], columns: Sequence[Sequence[Any]], numbers: Collection[str] = ()) -> pa.Table:
    """The same of rows that came column by column."""
    made = [_column(name, values, name in numbers) for name, values in zip(names, columns, strict=True)]
    return pa.table([values for _, values in made], schema=pa.schema([field for field, _ in made]))


def stored_values(field: pa.Field, column: pa.ChunkedArray) -> list[Any]:
    """The values that such a column was made of."""
    values: list[Any] = column.to_pylist()
    return [_untagged(value) for value in values] if is_mixed(field) else values


def is_mixed(field: pa.Field) -> bool:
    """Whether a column has values of several kinds."""
    return is_marked(field, MIXED)


def is_marked(field: pa.Field, mark: Mapping[bytes, bytes]) -> bool:
    """Whether a field has this in its metadata."""
    return mark.items() <= (field.metadata or {}).items()


def _column(name: str, values: Sequence[Any], is_number: bool) -> tuple[pa.Field, pa.Array]:
    kinds = set(map(type, values)) - {type(None)}
    if is_number and kinds == {int, float}:
        with suppress(pa.ArrowInvalid):  # of an integer that is none among floating-point numbers
            return pa.field(name, pa.float64()), pa.array(values, pa.float64())
    if len(kinds) > 1 or UndecodableText in kinds:
        return pa.field(name, pa.string(), metadata=MIXED), pa.array(map(_tagged, values), pa.string())
    type_ = _TYPES[kinds.pop()] if kinds else pa.string()
    return pa.field(name, type_), pa.array(values, type_)


def _tagged(value: Any) -> str | None:
    match value:
        case None:
            return None
        case UndecodableText():
            return f"t{value.hex()}"
        case bytes():
            return f"b{value.hex()}"
        case str():
            return f"s{value}"
        case float():
            return f"f{value!r}"
    return f"i{value}"


def _untagged(text: str | None) -> Any:
    if text is None:
        return None
    return _READ[text[0]](text[1:])
