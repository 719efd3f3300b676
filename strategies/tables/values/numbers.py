"""Kinds of columns that hold numbers and truth values."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.values.arrays import Converted, Parsed, digits_or, each, matching, quoted, trimmed

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
        self._parsed = Parsed(self._type, digits_or(PLAIN), self._parse)

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
