"""Values of Arrow's types as the text that an import reads cells from."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.formats.json_text import as_json

OUT_OF_RANGE = "<"  # how Arrow begins the text of a time that it has no text for

Bad = list[tuple[int, str]]


def as_text(values: pa.Array) -> tuple[pa.Array, Bad]:
    """Values of any type as the text that an import reads them from, null where text would not say all of a value.

    Returns:
        The text, and what is wrong by index.
    """
    type = values.type
    if pa.types.is_dictionary(type):
        return as_text(values.dictionary_decode())
    if pa.types.is_nested(type):
        return _each(values, lambda value: as_json(value, ", ", ": "))
    if pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_fixed_size_binary(type):
        return _each(values, lambda value: f"\\x{value.hex()}")
    if pa.types.is_timestamp(type):
        return _in_microseconds(values, pa.timestamp("us", type.tz), _moments)
    if pa.types.is_time(type):
        return _in_microseconds(values, pa.time64("us"), lambda times: times.cast(pa.string()))
    if pa.types.is_duration(type):
        return _in_microseconds(values, pa.duration("us"), _durations)
    return values.cast(pa.string()), []


def row_as_text(table: pa.Table, index: int) -> dict[str, str | None]:
    """One row of a table as text; a value that no text says all of is none."""
    row = table.slice(index, 1)
    texts = {
        name: column if pa.types.is_string(column.type) else as_text(column.combine_chunks())[0]
        for name, column in zip(row.column_names, row.columns, strict=True)
    }
    return {name: column[0].as_py() for name, column in texts.items()}


def _each(values: pa.Array, text: Callable[[Any], str]) -> tuple[pa.Array, Bad]:
    cells: list[str | None] = []
    bad: Bad = []
    for index, value in enumerate(values):
        try:
            cells.append(text(value.as_py()) if value.is_valid else None)
        except (ValueError, OverflowError) as error:
            cells.append(None)
            bad.append((index, str(error)))
    return pa.array(cells, pa.string()), bad


def _in_microseconds(values: pa.Array, type: pa.DataType, text: Callable[[pa.Array], pa.Array]) -> tuple[pa.Array, Bad]:
    """Times as text; databases count in microseconds, and what lies between or outside of them is bad."""
    rounded = values.cast(type, safe=False)
    exact = pc.fill_null(pc.equal(rounded.cast(values.type, safe=False), values), True)
    texts = text(rounded)
    fits = pc.and_(exact, pc.invert(pc.fill_null(pc.starts_with(texts, OUT_OF_RANGE), False)))
    if pc.all(fits).as_py() is not False:
        return texts, []
    bad = [(index, _why_not(values.slice(index, 1))) for index in pc.indices_nonzero(pc.invert(fits)).to_pylist()]
    return pc.if_else(fits, texts, pa.scalar(None, pa.string())), bad


def _why_not(value: pa.Array) -> str:
    shown = value.cast(pa.string())[0].as_py()
    if value.type.unit == "ns" and not shown.startswith(OUT_OF_RANGE):
        return f"{shown!r} has nanoseconds, which a database does not keep"
    return "is a time out of range"


def _moments(values: pa.Array) -> pa.Array:
    if values.type.tz is None:
        return values.cast(pa.string())
    return pc.binary_join_element_wise(
        values.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us")).cast(pa.string()), "+00:00", ""
    )


def _durations(values: pa.Array) -> pa.Array:
    """Durations as ISO 8601 has them, in seconds."""
    counts = values.cast(pa.int64()).to_pylist()
    texts = [None if count is None else f"PT{Decimal(count).scaleb(-6):f}S" for count in counts]
    return pa.array(texts, pa.string())
