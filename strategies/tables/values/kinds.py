"""What a column of the target takes, by its SQLAlchemy type: numbers, days and times, text, and what is text."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, types
from sqlalchemy.dialects import postgresql

from batch_jobs.strategies.tables.databases.naming import database_of_column
from batch_jobs.strategies.tables.values.arrays import (
    Converted,
    Kind,
    Parsed,
    digits_or,
    each,
    has_nul,
    matching,
    quoted,
    trimmed,
)

__all__ = ["Converted", "Kind", "kind_of", "missing"]

WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?")
PLAIN = r"^(0|-?[1-9]\d*|-?(0|[1-9]\d*)\.\d*[1-9]|(0|-?[1-9]\d*)\.\d*0)$"  # and not -0
NOT_FINITE = frozenset({"nan", "inf", "-inf", "+inf", "infinity", "-infinity", "+infinity"})
TRUE = ("true", "t", "yes", "y", "1", "on")
FALSE = ("false", "f", "no", "n", "0", "off")
LARGEST_PRECISION = 38  # digits of Arrow's decimals


def integer(bits: int) -> Parsed:
    """Whole numbers of this many bits, with a sign."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def parse(cell: str) -> int:
        if not WHOLE.fullmatch(cell):
            raise ValueError(f"{quoted(cell)} is not a whole number")
        value = int(cell.partition(".")[0])
        if not low <= value <= high:
            raise ValueError(f"{quoted(cell)} is not between {low} and {high}")
        return value

    type = {16: pa.int16(), 32: pa.int32()}.get(bits, pa.int64())
    return Parsed(type, digits_or(r"^-?\d+$"), parse)


def real() -> Parsed:
    """Floating-point numbers, NaN and infinity among them."""

    def parse(cell: str) -> float:
        if not NUMBER.fullmatch(cell) and cell.lower() not in NOT_FINITE:
            raise ValueError(f"{quoted(cell)} is not a number")
        return float(cell)

    return Parsed(pa.float64(), digits_or(r"^-?\d+(\.\d+)?([eE][+-]?\d{1,3})?$"), parse)


class Numeric:
    """Exact decimal numbers: with a precision and a scale as Arrow's decimals, without as their shortest text."""

    def __init__(self, precision: int | None, scale: int | None) -> None:
        self._scale = scale or 0
        self._whole = None if precision is None else precision - self._scale
        exact = precision is not None and precision <= LARGEST_PRECISION and 0 <= self._scale <= precision
        self._type = pa.decimal128(precision, self._scale) if exact else pa.string()
        self._parsed = Parsed(self._type, _short(digits_or(PLAIN)), self._parse)

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        if self._type != pa.string():
            return self._parsed.convert(cells)
        texts = trimmed(cells)
        if self._whole is None and matching(PLAIN)(texts):
            return Converted(_shortest(texts))
        return each(texts, self._type, self._parse)

    def _parse(self, cell: str) -> Any:
        value = _decimal(cell)
        if self._whole is not None and value:
            _, digits, exponent = value.as_tuple()
            fraction = max(0, -int(exponent))
            if fraction > self._scale:
                raise ValueError(f"{quoted(cell)} has {fraction} decimals where the column has {self._scale}")
            if len(digits) + int(exponent) > self._whole:
                raise ValueError(f"{quoted(cell)} has more than {self._whole} digits before the point")
        return value if self._type != pa.string() else format(value, "f")


def _short(are_plain: Callable[[pa.Array], bool]) -> Callable[[pa.Array], bool]:
    """Whether cells are plain and short: of more digits than a decimal holds, Arrow drops some without an error."""

    def are_short(texts: pa.Array) -> bool:
        longest = pc.max(pc.binary_length(texts)).as_py()
        return (longest is None or longest <= LARGEST_PRECISION) and are_plain(texts)

    return are_short


def _shortest(texts: pa.Array) -> pa.Array:
    """Plain decimals without needless zeros at their end."""
    fractions = pc.ends_with(texts, "0")
    if not pc.any(fractions).as_py():
        return texts
    return pc.replace_substring_regex(pc.replace_substring_regex(texts, r"(\.\d*?)0+$", r"\1"), r"\.$", "")


def _decimal(cell: str) -> Decimal:
    if not NUMBER.fullmatch(cell):
        raise ValueError(f"{quoted(cell)} is not a number")
    try:
        value = Decimal(cell)
    except InvalidOperation:
        raise ValueError(f"{quoted(cell)} is not a number") from None
    sign, digits, exponent = value.as_tuple()
    # like normalize(), which would round to the context's precision
    kept = "".join(map(str, digits)).rstrip("0")
    dropped = len(digits) - len(kept)
    return Decimal((sign, tuple(map(int, kept)), int(exponent) + dropped)) if kept else Decimal(0)


class Boolean:
    """True and false, in the words that PostgreSQL knows."""

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        texts = pc.utf8_lower(trimmed(cells))
        yes, no = (pc.is_in(texts, pa.array(words)) for words in (TRUE, FALSE))
        known = pc.or_(yes, no)
        values = pc.if_else(known, yes, pa.scalar(None, pa.bool_()))
        unknown = pc.and_(pc.is_valid(texts), pc.invert(known))
        indices = pc.indices_nonzero(unknown).to_pylist()
        return Converted(values, [(i, f"{quoted(cells[i].as_py())} is neither true nor false") for i in indices])


DAY = re.compile(r"\d{4}-\d\d-\d\d")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?\s*(Z|z|[+-]\d\d(:?\d\d)?)?)?")


def day() -> Parsed:
    """Days; a time is refused unless it is midnight, which is how spreadsheets write a day."""

    def parse(cell: str) -> date:
        moment = _moment(cell, "a day such as 2026-01-31")
        if moment.time() != time():
            raise ValueError(f"{quoted(cell)} has a time and the column holds days")
        return moment.date()

    return Parsed(pa.date32(), digits_or(r"^\d{4}-\d\d-\d\d$"), parse)


def moment(zoned: bool) -> Parsed:
    """Moments: in a column with a time zone one without is taken for UTC, in one without a zone is refused."""

    def parse(cell: str) -> datetime:
        value = _moment(cell, "a time such as 2026-01-31 13:45:00")
        if zoned:
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if value.tzinfo is not None:
            raise ValueError(f"{quoted(cell)} has a time zone and the column has none")
        return value

    if zoned:
        return Parsed(
            pa.timestamp("us", "UTC"),
            matching(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"),
            parse,
        )
    return Parsed(pa.timestamp("us"), matching(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?$"), parse)


def time_of_day() -> Parsed:
    """Times of a day."""

    def parse(cell: str) -> time:
        try:
            value = time.fromisoformat(cell)
        except ValueError:
            raise ValueError(f"{quoted(cell)} is not a time such as 13:45:00") from None
        if value.tzinfo is not None:
            raise ValueError(f"{quoted(cell)} has a time zone and the column has none")
        return value

    return Parsed(pa.time64("us"), matching(r"^\d\d:\d\d:\d\d(\.\d{1,6})?$"), parse)


def _moment(cell: str, wanted: str) -> datetime:
    if not MOMENT.fullmatch(cell):
        raise ValueError(f"{quoted(cell)} is not {wanted}")
    try:
        return datetime.fromisoformat(re.sub(r"\s+(?=[+-]|Z|z)", "", cell).replace("z", "Z"))
    except ValueError:
        raise ValueError(f"{quoted(cell)} is not {wanted}: there is no such day or time") from None


HEX = re.compile(r"(\\x)?([0-9A-Fa-f]{2})*")


class Text:
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


class Choice:
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


class Json:
    """JSON, as it is written."""

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        return each(trimmed(cells), pa.string(), _json)


def _json(cell: str) -> str:
    try:
        json.loads(cell)
    except (ValueError, RecursionError):
        raise ValueError(f"{quoted(cell)} is not JSON") from None
    if "\\u0000" in cell:
        raise ValueError(f"{quoted(cell)} has a NUL character")
    return cell


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


#: SQLAlchemy type -> kind, the special before the general; what is not here goes to the database as text.
KINDS: list[tuple[type[types.TypeEngine[Any]], Callable[[Any], Kind]]] = [
    (types.Boolean, lambda type: Boolean()),
    (types.SmallInteger, lambda type: integer(16)),
    (types.BigInteger, lambda type: integer(64)),
    (types.Float, lambda type: real()),
    (types.Numeric, lambda type: Numeric(type.precision, type.scale)),
    (types.DateTime, lambda type: moment(zoned=bool(type.timezone))),
    (types.Date, lambda type: day()),
    (types.Time, lambda type: Text() if type.timezone else time_of_day()),
    (types.Enum, lambda type: Choice(list(type.enums))),
    (types.Uuid, lambda type: uuid()),
    (types.JSON, lambda type: Json()),
    (types.LargeBinary, lambda type: binary()),
    (postgresql.BYTEA, lambda type: binary()),
    (types.String, lambda type: Text(type.length)),
]
INTEGER_BITS = 32  # of the standard's INTEGER


def kind_of(column: Column[Any]) -> Kind:
    """The kind of a column of the target."""
    type = column.type
    if isinstance(type, types.Integer) and not isinstance(type, (types.SmallInteger, types.BigInteger)):
        database = database_of_column(column)
        return integer(database.integer_bits if database else INTEGER_BITS)
    for known, make in KINDS:
        if isinstance(type, known):
            return make(type)
    return Text()


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
