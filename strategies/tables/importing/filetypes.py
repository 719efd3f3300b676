"""The types that a file or a frame gives its columns, as types of a table."""

from typing import Any

import pyarrow as pa
from sqlalchemy import types

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.tables.importing.families import Decision
from batch_jobs.strategies.tables.values.numbers import EXACT_DIGITS
from batch_jobs.strategies.tables.values.typenames import JSONB

#: Arrow's type by its test -> the type of a column, the special before the general.
_PLAIN: list[tuple[Any, types.TypeEngine[Any]]] = [
    (pa.types.is_boolean, types.Boolean()),
    (lambda type: pa.types.is_integer(type) and _bits(type) <= 16, types.SmallInteger()),
    (lambda type: pa.types.is_integer(type) and _bits(type) <= 32, types.Integer()),
    (lambda type: pa.types.is_integer(type) and _bits(type) <= 64, types.BigInteger()),
    (lambda type: pa.types.is_floating(type) and type.bit_width <= 32, types.REAL()),
    (pa.types.is_floating, types.Double()),
    (pa.types.is_date, types.Date()),
    (pa.types.is_time, types.Time()),
    (pa.types.is_string, types.Text()),
    (pa.types.is_large_string, types.Text()),
    (pa.types.is_string_view, types.Text()),
    (pa.types.is_binary, types.LargeBinary()),
    (pa.types.is_large_binary, types.LargeBinary()),
    (pa.types.is_fixed_size_binary, types.LargeBinary()),
]


def decided_by_type(type: pa.DataType | None, database: Database, said_by: str) -> Decision | None:
    """A column's type where ``said_by`` gives it one; ``None`` where all values have to be looked at."""
    found = None if type is None else type_of(type, database)
    return None if found is None else Decision(found, f"{said_by} says {type}")


def type_of(type: pa.DataType, database: Database) -> types.TypeEngine[Any] | None:
    """The type of a column for one of Arrow's, ``None`` where this database has none that surely keeps its values."""
    if pa.types.is_dictionary(type):
        return type_of(type.value_type, database)
    if pa.types.is_decimal(type):
        return _decimal(type, database)
    if pa.types.is_timestamp(type):
        if type.tz is None:
            return types.DateTime()
        return types.DateTime(timezone=True) if database.has_time_zones else None
    if pa.types.is_nested(type):
        return _nested(type, database)
    return next((made for is_such, made in _PLAIN if is_such(type)), None)


def _decimal(type: pa.DataType, database: Database) -> types.Numeric[Any] | None:
    scale = max(0, type.scale)
    precision = type.precision + max(0, -type.scale)
    return types.Numeric(precision, scale) if database.has_decimals or precision <= EXACT_DIGITS else None


def _nested(type: pa.DataType, database: Database) -> types.TypeEngine[Any]:
    is_list = pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type)
    # lists of lists may be of different lengths, which an array may not
    if is_list and database.has_arrays and not pa.types.is_nested(type.value_type):
        item = type_of(type.value_type, database)
        if item is not None and not isinstance(item, types.LargeBinary):
            return types.ARRAY(item)
    return JSONB


def _bits(type: pa.DataType) -> int:
    """How many bits a signed number needs for all values of a type."""
    return int(type.bit_width) + int(pa.types.is_unsigned_integer(type))
