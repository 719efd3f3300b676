"""What a column of the target takes, by its SQLAlchemy type: numbers, days and times, text, and what is text."""

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, types
from sqlalchemy.dialects import postgresql

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.tables.databases.naming import database_of_column
from batch_jobs.strategies.tables.values.arrays import (
    Beyond,
    Converted,
    Kind,
    Parsed,
    each,
    has_nul,
    quoted,
    trimmed,
)
from batch_jobs.strategies.tables.values.moments import (
    Moments,
    beyond_days,
    beyond_moments,
    beyond_times,
    clock_text,
    day,
    time_of_day,
)
from batch_jobs.strategies.tables.values.nested import ArrayOf
from batch_jobs.strategies.tables.values.numbers import Numeric, endless_numeric, integer, real

__all__ = ["Converted", "Kind", "kind_of", "missing"]

TRUE = ("true", "t", "yes", "y", "1", "on")
FALSE = ("false", "f", "no", "n", "0", "off")


class Boolean(Kind):
    """True and false, in the words that PostgreSQL knows."""

    takes = pa.bool_()

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        texts = pc.utf8_lower(trimmed(cells))
        yes, no = (pc.is_in(texts, pa.array(words)) for words in (TRUE, FALSE))
        known = pc.or_(yes, no)
        values = pc.if_else(known, yes, pa.scalar(None, pa.bool_()))
        unknown = pc.and_(pc.is_valid(texts), pc.invert(known))
        indices = pc.indices_nonzero(unknown).to_pylist()
        return Converted(values, [(i, f"{quoted(cells[i].as_py())} is neither true nor false") for i in indices])


HEX = re.compile(r"(\\x)?([0-9A-Fa-f]{2})*")


class Text(Kind):
    """Text of at most a number of characters; a NUL character, which PostgreSQL cannot hold, is refused everywhere."""

    def __init__(self, length: int | None = None) -> None:
        self._length = length

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        if self._fits(cells):
            return Converted(cells)
        wrong = pc.match_substring(cells, "\0")
        if self._length is not None:
            wrong = pc.or_(wrong, pc.greater(pc.utf8_length(cells), self._length))
        if not pc.any(wrong).as_py():
            return Converted(cells)
        bad = [(index, self._message(cells[index].as_py())) for index in pc.indices_nonzero(wrong).to_pylist()]
        return Converted(pc.if_else(wrong, pa.scalar(None, pa.string()), cells), bad)

    def _fits(self, cells: pa.Array) -> bool:
        """Whether all cells surely are good, going by their bytes; there are never fewer of them than characters."""
        longest = pc.max(pc.binary_length(cells)).as_py() or 0
        return not has_nul(cells) and (self._length is None or longest <= self._length)

    def _message(self, cell: str) -> str:
        if "\0" in cell:
            return f"{quoted(cell)} has a NUL character"
        return f"{quoted(cell)} has {len(cell)} characters where the column holds {self._length}"


class Choice(Kind):
    """One of some words."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        wrong = pc.and_(pc.is_valid(cells), pc.invert(pc.is_in(cells, pa.array(self._words, pa.string()))))
        if not pc.any(wrong).as_py():
            return Converted(cells)
        allowed = ", ".join(self._words)
        indices = pc.indices_nonzero(wrong).to_pylist()
        bad = [(index, f"{quoted(cells[index].as_py())} is not one of {allowed}") for index in indices]
        return Converted(pc.if_else(wrong, pa.scalar(None, pa.string()), cells), bad)


#: A NUL character in JSON, as opposed to a backslash before u0000.
NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")


class Json(Kind):
    """JSON, as it is written."""

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        return each(trimmed(cells), pa.string(), _json)


def _json(cell: str) -> str:
    try:
        json.loads(cell, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueError(f"{quoted(cell)} is not JSON") from None
    if NUL.search(cell):
        raise ValueError(f"{quoted(cell)} has a NUL character")
    return cell


def _no_constant(word: str) -> None:
    raise ValueError(word)  # NaN and Infinity, which Python reads


def never(texts: pa.Array) -> bool:
    """No cells may be cast: each is parsed."""
    return False


def uuid() -> Parsed:
    """UUIDs in their usual form."""

    def parse(cell: str) -> str:
        try:
            return str(UUID(cell))
        except ValueError:
            raise ValueError(f"{quoted(cell)} is not a UUID") from None

    return Parsed(pa.string(), never, parse)


def binary() -> Parsed:
    r"""Bytes in hexadecimal, with or without PostgreSQL's ``\x``."""

    def parse(cell: str) -> bytes:
        if not HEX.fullmatch(cell):
            raise ValueError(f"{quoted(cell)} is not hexadecimal")
        return bytes.fromhex(cell.removeprefix("\\x"))

    return Parsed(pa.binary(), never, parse)


#: How wide an INTEGER of the standard is, and a DOUBLE PRECISION.
INTEGER_BITS, DOUBLE_BITS = 32, 64


class Kinds:
    """The kinds of a database's columns.

    Args:
        database: whose columns they are; ``None`` for those of no database, of which only what all have is taken.
        zone: where times without a zone are local; UTC where there is none.
    """

    def __init__(self, database: Database | None, zone: str | None = None) -> None:
        self._database, self._zone = database, zone
        #: SQLAlchemy type -> kind, the special before the general; what is not here goes to the database as text.
        self._makers: list[tuple[type[types.TypeEngine[Any]], Callable[[Any], Kind]]] = [
            (types.Boolean, lambda type: Boolean()),
            (types.SmallInteger, lambda type: integer(16)),
            (types.BigInteger, lambda type: integer(64)),
            (types.Integer, lambda type: integer(database.integer_bits if database else INTEGER_BITS)),
            (types.Float, self._real),
            (types.Numeric, self._numeric),
            (types.DateTime, self._moments),
            (types.Date, lambda type: self._with(day(), beyond_days)),
            (types.Time, self._times),
            (types.Interval, lambda type: clock_text(_digits(type))),
            (postgresql.INTERVAL, lambda type: clock_text(_digits(type))),
            (types.Enum, lambda type: Choice(list(type.enums))),
            (types.Uuid, lambda type: uuid()),
            (types.JSON, lambda type: Json()),
            (types.ARRAY, self._array),
            (types.LargeBinary, lambda type: binary()),
            (postgresql.BYTEA, lambda type: binary()),
            (types.String, lambda type: Text(type.length)),
        ]

    def of(self, type: types.TypeEngine[Any]) -> Kind:
        """The kind of a column of this type."""
        return next((make(type) for known, make in self._makers if isinstance(type, known)), Text())

    def _with(self, kind: Kind, beyond: Callable[[str], str | None]) -> Kind:
        return Beyond(kind, beyond) if self._database and self._database.has_endless_values else kind

    def _real(self, type: types.Float[Any]) -> Kind:
        single = self._database is not None and isinstance(type, types.REAL)
        bits = self._database.real_bits if single and self._database else DOUBLE_BITS
        return real(bits, self._database is None or self._database.has_nan)

    def _numeric(self, type: types.Numeric[Any]) -> Kind:
        as_float = self._database is not None and not self._database.has_decimals
        return self._with(Numeric(type.precision, type.scale, as_float), endless_numeric(type.precision))

    def _moments(self, type: types.DateTime) -> Kind:
        zoned, digits = bool(type.timezone), _digits(type)
        return self._with(Moments(zoned, self._zone, digits), beyond_moments(zoned, self._zone, digits))

    def _times(self, type: types.Time) -> Kind:
        digits = _digits(type)
        return clock_text(digits) if type.timezone else self._with(time_of_day(digits), beyond_times)

    def _array(self, type: types.ARRAY[Any]) -> Kind:
        return ArrayOf(self.of(type.item_type), isinstance(type.item_type, types.JSON))


def _digits(type: Any) -> int | None:
    return getattr(type, "precision", None)


def kind_of(column: Column[Any], zone: str | None = None) -> Kind:
    """The kind of a column of the target; times without a zone are local in ``zone``, or else in UTC."""
    return Kinds(database_of_column(column), zone).of(column.type)


def missing(column: Column[Any], has_default: bool = False) -> str | None:
    """What to say of a cell that is empty where the column needs a value; ``None`` where it does not.

    Args:
        column: of the target.
        has_default: whether an empty cell means what the column has by itself.
    """
    # otherwise a default does not help: the cell is written as it is, and it is empty
    if column.nullable or _is_serial(column) or (has_default and column.server_default is not None):
        return None
    return "is empty; the column needs a value"


def _is_serial(column: Column[Any]) -> bool:
    only_key = column.table is not None and list(column.table.primary_key.columns) == [column]
    database = database_of_column(column)
    return bool(only_key and database and database.numbers_integer_keys and isinstance(column.type, types.Integer))
