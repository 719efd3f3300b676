"""Numbers: whole, floating-point and decimal ones; what a column would not give back as it was is refused."""

import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.values.arrays import (
    LARGEST_PRECISION,
    Converted,
    Kind,
    Parsed,
    digits_or,
    each,
    has_only_digits,
    matching,
    quoted,
    trimmed,
)

WHOLE = re.compile(r"[+-]?\d+(\.0*)?", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
PLAIN = r"^(0|-?[1-9]\d*|-?(0|[1-9]\d*)\.\d*[1-9]|(0|-?[1-9]\d*)\.\d*0)$"  # and not -0
NOT_FINITE = frozenset({"nan", "inf", "-inf", "+inf", "infinity", "-infinity", "+infinity"})
EXACT_DIGITS = 15  # significant digits that every double gives back as they were
EXACT_DIGITS_SINGLE = 6
NEARLY_ZERO = 1e-290  # doubles smaller than this begin to have fewer digits
_DIGIT = re.compile(r"[1-9]")


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
    return Parsed(type, digits_or(r"^-?\d+$"), parse, takes=type)


def real(bits: int = 64, keeps_nan: bool = True) -> Parsed:
    """Floating-point numbers, infinity and mostly NaN among them."""

    def parse(cell: str) -> float:
        if cell.lower() in NOT_FINITE:
            if not keeps_nan and "nan" in cell.lower():
                raise ValueError(f"{quoted(cell)} is no value that the database can hold; null_values can empty it")
            return float(cell)
        if not NUMBER.fullmatch(cell):
            raise ValueError(f"{quoted(cell)} is not a number")
        return _exact_float(cell, bits)

    plain = digits_or(r"^-?\d+(\.\d+)?([eE][+-]?\d{1,3})?$")
    takes = pa.float64() if bits == 64 else None
    return Parsed(pa.float64(), plain, parse, lambda texts, values: are_exact(texts, values, bits), takes)


def are_exact(texts: pa.Array, values: pa.Array, bits: int = 64) -> bool:
    """Whether floating-point numbers, cast from plain texts, say what the texts say."""
    are_short = (pc.max(pc.binary_length(texts)).as_py() or 0) <= (EXACT_DIGITS if bits == 64 else EXACT_DIGITS_SINGLE)
    if are_short and has_only_digits(texts):
        return True
    magnitudes = np.abs(values.drop_null().to_numpy())
    if not len(magnitudes):
        return True
    if magnitudes.max() > _largest(bits):
        return False
    if are_short:
        return bool(magnitudes.min() >= NEARLY_ZERO) or not _has_nearly_zero(texts, values)
    shortest = (values if bits == 64 else values.cast(pa.float32(), safe=False)).cast(pa.string())
    doubtful = texts.filter(pc.not_equal(texts, shortest))
    return all(is_exact_float(cell, bits) for cell in doubtful.to_pylist() if cell is not None)


def has_many_digits(texts: pa.Array) -> pa.BooleanArray:
    """Which numbers have more significant digits than every double gives back."""
    digits = pc.replace_substring_regex(texts, r"^[+-]?0*\.?0*|\.|[eE].*$", "")
    return pc.greater(pc.utf8_length(digits), EXACT_DIGITS)


def first_inexact(texts: pa.Array) -> int | None:
    """The place of the first number that a double would not give back; words, such as infinity, are given back."""
    are_whole = pc.all(pc.match_substring_regex(texts, r"^-?\d{1,18}$")).as_py()
    same = _same_as_whole(texts) if are_whole else _same_as_float(texts)
    for place in pc.indices_nonzero(pc.fill_null(pc.invert(same), False)).to_pylist():
        text = texts[place].as_py()
        if text.lower() not in NOT_FINITE and not is_exact_float(text):
            return int(place)
    return None


def _same_as_whole(texts: pa.Array) -> pa.BooleanArray:
    numbers = texts.cast(pa.int64())
    return pc.equal(numbers.cast(pa.float64(), safe=False).cast(pa.int64(), safe=False), numbers)


def _same_as_float(texts: pa.Array) -> pa.BooleanArray:
    try:
        return pc.equal(texts.cast(pa.float64()).cast(pa.string()), texts)
    except pa.ArrowInvalid:  # Arrow does not read +1
        return pa.array([text is None for text in texts.to_pylist()])


def is_exact_float(cell: str, bits: int = 64) -> bool:
    """Whether the floating-point number nearest to a number's text gives that number back."""
    value, exact = float(cell), Decimal(cell)
    if math.isinf(value):
        return False
    if bits == 64:
        return Decimal(repr(value)) == exact or Decimal(value) == exact
    single = np.float32(value)
    # a single that was written as a double has more digits than its own shortest text
    return bool(np.isfinite(single)) and (Decimal(str(single)) == exact or float(single) == value)


def _has_nearly_zero(texts: pa.Array, values: pa.Array) -> bool:
    tiny = texts.filter(pc.less(pc.abs(values), NEARLY_ZERO))
    return bool(pc.any(pc.match_substring_regex(tiny, r"^[^eE]*[1-9]")).as_py())


def _largest(bits: int) -> float:
    return float(np.finfo(np.float64 if bits == 64 else np.float32).max)


def _is_finite(value: float, bits: int) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isfinite(value if bits == 64 else np.float32(value)))


def _exact_float(cell: str, bits: int) -> float:
    value = float(cell)
    if not _is_finite(value, bits):
        raise ValueError(f"{quoted(cell)} is too large for a floating-point number of {bits} bits")
    if not value and _DIGIT.search(re.split("[eE]", cell)[0]):
        raise ValueError(f"{quoted(cell)} is too small for a floating-point number of {bits} bits")
    if not is_exact_float(cell, bits):
        raise ValueError(f"{quoted(cell)} has more digits than a floating-point number of {bits} bits keeps")
    return value


class Numeric(Kind):
    """Exact decimal numbers: with a precision and a scale as Arrow's decimals, without as their shortest text.

    Args:
        precision: how many digits there may be, ``None`` for any number.
        scale: how many of them after the point.
        as_float: whether the database keeps them as floating-point numbers.
    """

    def __init__(self, precision: int | None, scale: int | None, as_float: bool = False) -> None:
        self._scale = scale or 0
        self._whole = None if precision is None else precision - self._scale
        self._as_float = as_float and (precision is None or precision > EXACT_DIGITS)
        exact = precision is not None and precision <= LARGEST_PRECISION and 0 <= self._scale <= precision
        self._type = pa.decimal128(precision, self._scale) if exact else pa.string()
        self.takes = self._type if exact and not self._as_float else None
        longest = EXACT_DIGITS if self._as_float else LARGEST_PRECISION
        self._parsed = Parsed(self._type, _short(digits_or(PLAIN), longest), self._parse)

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        if self._type != pa.string():
            return self._parsed.convert(cells)
        texts = trimmed(cells)
        longest = EXACT_DIGITS if self._as_float else None
        if self._whole is None and _short(matching(PLAIN), longest)(texts):
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
        if self._as_float and not is_exact_float(cell):
            raise ValueError(f"{quoted(cell)} has more digits than the database keeps, which are {EXACT_DIGITS}")
        return value if self._type != pa.string() else format(value, "f")


def endless_numeric(precision: int | None) -> Callable[[str], str | None]:
    """Gives what PostgreSQL takes for a decimal number though it is none: NaN, and infinity where there is no limit."""

    def beyond(cell: str) -> str | None:
        word = cell.lower()
        if word == "nan":
            return "NaN"
        if precision is None and word in NOT_FINITE:
            return "-Infinity" if word.startswith("-") else "Infinity"
        return None

    return beyond


def _short(are_plain: Callable[[pa.Array], bool], most: int | None) -> Callable[[pa.Array], bool]:
    """Whether cells are plain and short: of more digits than a decimal holds, Arrow drops some without an error."""

    def are_short(texts: pa.Array) -> bool:
        longest = pc.max(pc.binary_length(texts)).as_py() if most is not None else None
        return (longest is None or longest <= most) and are_plain(texts)

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
