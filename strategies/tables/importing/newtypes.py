"""Types of columns to create: kept in a plan, and what they take in a row."""

from typing import Any

import sqlalchemy
from sqlalchemy import types
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import CompileError
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.tables.values.typenames import JSONB, UUID

_ARGUMENTS = ("precision", "scale", "timezone", "length")
#: Types that differ between databases -> what a plan calls them.
_NAMED: dict[str, TypeEngine[Any]] = {"JSONB": JSONB, "Uuid": UUID}

#: What a row of PostgreSQL has before its values, without a bit for each of them.
ROW_HEADER = 23
ALIGNMENT = 8
#: A type's bytes in a row, and by how many its place has to be divisible; of other types at least two.
WIDTHS: list[tuple[type[TypeEngine[Any]], int]] = [
    (types.Boolean, 1),
    (types.SmallInteger, 2),
    (types.BigInteger, 8),
    (types.Integer, 4),
    (types.REAL, 4),
    (types.Float, 8),
    (types.DateTime, 8),
    (types.Date, 4),
    (types.Time, 8),
]
LEAST_WIDTH = 2


def type_name(type: TypeEngine[Any]) -> str:
    """What a plan calls a type."""
    return next((name for name, known in _NAMED.items() if known is type), type.__class__.__name__)


def type_arguments(type: TypeEngine[Any]) -> dict[str, Any]:
    """What a plan keeps of a type beside its name."""
    given = {argument: getattr(type, argument, None) for argument in _ARGUMENTS}
    return {argument: value for argument, value in given.items() if value not in (None, False)}


def made_type(name: str, arguments: dict[str, Any]) -> TypeEngine[Any]:
    """The type of a plan."""
    if name in _NAMED:
        return _NAMED[name]
    kind: type[TypeEngine[Any]] = getattr(sqlalchemy, name, None) or getattr(postgresql, name)
    return kind(**arguments)


def exists(type: TypeEngine[Any], dialect: Dialect) -> bool:
    """Whether the database has such a type."""
    try:
        type.compile(dialect=dialect)
    except CompileError:
        return False
    return True


def least_row_bytes(kinds: list[TypeEngine[Any]]) -> int:
    """The bytes that a row with a value of each type needs at least, in the order of its columns."""
    place = _aligned(ROW_HEADER + -(-len(kinds) // 8), ALIGNMENT)
    for kind in kinds:
        width = next((width for known, width in WIDTHS if isinstance(kind, known)), None)
        place = place + LEAST_WIDTH if width is None else _aligned(place, width) + width
    return place


def _aligned(place: int, to: int) -> int:
    return -(-place // to) * to
