"""What a column of the target takes, by its SQLAlchemy type."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, types
from sqlalchemy.dialects import postgresql

from batch_jobs.strategies.tables.databases.naming import database_of_column
from batch_jobs.strategies.tables.values import numbers, text, times
from batch_jobs.strategies.tables.values.arrays import Converted, Kind

__all__ = ["Converted", "Kind", "kind_of", "missing"]

#: SQLAlchemy type -> kind, the special before the general; what is not here goes to the database as text.
KINDS: list[tuple[type[types.TypeEngine[Any]], Callable[[Any], Kind]]] = [
    (types.Boolean, lambda type: numbers.Boolean()),
    (types.SmallInteger, lambda type: numbers.integer(16)),
    (types.BigInteger, lambda type: numbers.integer(64)),
    (types.Float, lambda type: numbers.real()),
    (types.Numeric, lambda type: numbers.Numeric(type.precision, type.scale)),
    (types.DateTime, lambda type: times.moment(zoned=bool(type.timezone))),
    (types.Date, lambda type: times.day()),
    (types.Time, lambda type: text.Text() if type.timezone else times.time_of_day()),
    (types.Enum, lambda type: text.Choice(list(type.enums))),
    (types.Uuid, lambda type: text.uuid()),
    (types.JSON, lambda type: text.Json()),
    (types.LargeBinary, lambda type: text.binary()),
    (postgresql.BYTEA, lambda type: text.binary()),
    (types.String, lambda type: text.Text(type.length)),
]
INTEGER_BITS = 32  # of the standard's INTEGER


def kind_of(column: Column[Any]) -> Kind:
    """The kind of a column of the target."""
    type = column.type
    if isinstance(type, types.Integer) and not isinstance(type, (types.SmallInteger, types.BigInteger)):
        database = database_of_column(column)
        return numbers.integer(database.integer_bits if database else INTEGER_BITS)
    for known, make in KINDS:
        if isinstance(type, known):
            return make(type)
    return text.Text()


def missing(column: Column[Any]) -> str | None:
    """What to say of a cell that is empty where the column needs a value; ``None`` where it does not."""
    # a default does not help: the cell is written as it is, and it is empty
    if column.nullable or _is_serial(column):
        return None
    return "is empty; the column needs a value"


def _is_serial(column: Column[Any]) -> bool:
    only_key = column.table is not None and list(column.table.primary_key.columns) == [column]
    database = database_of_column(column)
    return bool(only_key and database and database.numbers_integer_keys and isinstance(column.type, types.Integer))
