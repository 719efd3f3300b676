"""The columns of frames that a strategy makes, whose types are those of the first frame."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlalchemy import types
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.selecting import SelectedColumn

_STRINGS = (pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
#: What values of a type are -> which types they have, and the column of a database that is like that.
_FAMILIES: tuple[tuple[str, Callable[[pa.DataType], bool], TypeEngine[Any]], ...] = (
    ("numbers", pa.types.is_integer, types.BigInteger()),
    ("numbers", pa.types.is_floating, types.Double()),
    ("numbers", pa.types.is_decimal, types.Numeric()),
    ("truth values", pa.types.is_boolean, types.Boolean()),
    ("days", pa.types.is_date, types.Date()),
    ("times", pa.types.is_timestamp, types.DateTime()),
    ("times of a day", pa.types.is_time, types.Time()),
    ("bytes", pa.types.is_binary, types.LargeBinary()),
    ("bytes", pa.types.is_large_binary, types.LargeBinary()),
    ("bytes", pa.types.is_fixed_size_binary, types.LargeBinary()),
    ("lists", pa.types.is_list, types.ARRAY(types.Text())),
    ("structures", pa.types.is_nested, types.JSON()),
    ("spans of time", pa.types.is_duration, types.Text()),
)


@dataclass(frozen=True)
class MadeColumn:
    """A column as the first frame had it: what an export knows of it, and Arrow's type."""

    selected: SelectedColumn
    type: pa.DataType

    def refuse_other(self, values: pa.Array, place: str) -> None:
        """Refuse values that are something else than those of the first frame.

        Raises:
            JobRefused: says what they are and were.
        """
        if values.type != self.type and values.null_count < len(values) and _what(values.type) != _what(self.type):
            raise self._changed(_what(values.type), _what(self.type), place)

    def cast(self, values: pa.Array, place: str) -> pa.Array:
        """Values as those of the first frame.

        Raises:
            JobRefused: they cannot be, without loss.
        """
        if values.type == self.type:
            return values
        is_exact = pa.types.is_decimal(self.type) or not pa.types.is_decimal(values.type)
        try:
            if is_exact or values.null_count == len(values):
                return values.cast(self.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass  # said below
        raise self._changed(str(values.type), str(self.type), place)

    def _changed(self, now: str, before: str, place: str) -> JobRefused:
        return JobRefused(
            f"the column {self.selected.name} that transform made of {place} has {now}, and at first it had {before}; "
            "return the same types each time, as by astype"
        )


def made_column(
    name: str, values: pa.Array, is_inferred: bool, given: SelectedColumn | None, typed: bool
) -> MadeColumn:
    """A column of the first frame.

    Args:
        name: of the column.
        values: of it.
        is_inferred: whether their type is what they happen to be, as of Python's objects.
        given: the database's column that has this name and these values' type.
        typed: whether the file gets values.
    """
    type = values.type
    if is_inferred and pa.types.is_decimal(type):
        type = pa.decimal128(38, type.scale)
    sql = given.type if given is not None else _sql_type(type)
    return MadeColumn(SelectedColumn(name, sql, type if typed else None), type)


def usual(name: str, values: pa.Array) -> pa.Array:
    """Values of one of several types for text, or without any, as text.

    Raises:
        JobRefused: they are of a type that is pandas' own.
    """
    if isinstance(values.type, pa.BaseExtensionType) or pa.types.is_interval(values.type):
        raise JobRefused(
            f"the column {name} of the frame has values of the type {values.type}, which no file has; "
            "make them text, as by astype(str)"
        )
    return values.cast(pa.string()) if any(is_such(values.type) for is_such in _STRINGS) else values


def _what(type: pa.DataType) -> str:
    what = next((what for what, is_such, _ in _FAMILIES if is_such(type)), "text")
    return f"{what} with a zone" if pa.types.is_timestamp(type) and type.tz else what


def _sql_type(type: pa.DataType) -> TypeEngine[Any]:
    if pa.types.is_timestamp(type):
        return types.DateTime(timezone=type.tz is not None)
    return next((sql for _, is_such, sql in _FAMILIES if is_such(type)), types.Text())
