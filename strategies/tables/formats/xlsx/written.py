"""Texts of an export as the XML of a sheet's cells, each of the type that Excel has for it."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Boolean, Date, DateTime, Float, Integer, Numeric, Time
from sqlalchemy.types import TypeEngine

#: Characters that a cell may have.
MAX_CELL = 32_767

_STRING = pa.large_string()
#: XML has no way to write these.
_UNWRITABLE = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x{FFFE}\\x{FFFF}]"
#: What a reader takes for an escape.
_LOOKS_ESCAPED = re.compile(r"_x[0-9A-Fa-f]{4}_")
_UNDERSCORE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
#: Numbers of at most 15 digits, which Excel's floats hold exactly; the length bounds the others.
_NUMBER = r"^-?(0|[1-9]\d{0,14}|(0|[1-9]\d{0,13})\.\d{1,14})$"
_DIGITS = 15
_FROM = np.datetime64("1900-03-01", "D")  # before it Excel's days are not those of others
_DAY_ZERO = np.datetime64("1899-12-30", "D")
_DAY_MS = 86_400_000
_DAY = r"^\d{4}-\d\d-\d\d$"
_MOMENT = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,3}0{0,3})?$"
_CLOCK = r"^([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,3}0{0,3})?$"


class CellRefused(ValueError):
    """A cell that Excel cannot have: the rest of a sentence."""


def written(type: TypeEngine[Any], texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """The cells of a column.

    Args:
        type: the column's; what Excel holds of it as it is becomes a number, a day or a time, the rest text.
        texts: its values.

    Raises:
        CellRefused: a text is too long, or has a character that cannot be written.
    """
    if isinstance(type, (Numeric, Float, Integer)):
        return _mixed(texts, _exact_numbers(texts), _numbers)
    if isinstance(type, Boolean):
        return _mixed(texts, pc.is_in(texts, pa.array(["true", "false"], _STRING)), _booleans)
    if isinstance(type, DateTime):
        return _mixed(texts, _dated(texts, _MOMENT), _moments)
    if isinstance(type, Date):
        return _mixed(texts, _dated(texts, _DAY), _days)
    if isinstance(type, Time):
        return _mixed(texts, pc.match_substring_regex(texts, _CLOCK), _clocks)
    return _text_cells(texts)


Cells = Callable[[pa.LargeStringArray], pa.LargeStringArray]


def _mixed(texts: pa.LargeStringArray, fits: pa.BooleanArray, make: Cells) -> pa.LargeStringArray:
    """Cells of what fits, and text of the rest."""
    if pc.all(fits, skip_nulls=True).as_py() is not False:
        return pc.fill_null(make(texts), "<c/>")
    fitting = pc.if_else(fits, texts, pa.scalar(None, _STRING))
    return pc.if_else(pc.is_valid(fitting), make(fitting), _text_cells(texts))


def _joined(*parts: pa.Array | str) -> pa.LargeStringArray:
    arrays = [pa.scalar(part, _STRING) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*arrays, pa.scalar("", _STRING))


def _exact_numbers(texts: pa.LargeStringArray) -> pa.BooleanArray:
    digits = pc.utf8_length(pc.replace_substring_regex(texts, "[-.]", ""))
    return pc.and_(pc.match_substring_regex(texts, _NUMBER), pc.less_equal(digits, _DIGITS))


def _numbers(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    return _joined("<c><v>", texts, "</v></c>")


def _booleans(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    return pc.if_else(pc.equal(texts, "true"), '<c t="b"><v>1</v></c>', '<c t="b"><v>0</v></c>').cast(_STRING)


def _dated(texts: pa.LargeStringArray, pattern: str) -> pa.BooleanArray:
    formed = pc.and_(pc.match_substring_regex(texts, pattern), pc.greater_equal(texts, str(_FROM)))
    try:
        _microseconds(pc.if_else(formed, texts, pa.scalar(None, _STRING)))
    except pa.ArrowInvalid:
        return pa.array(
            [form.as_py() and _is_there(text) for form, text in zip(formed, texts, strict=True)], pa.bool_()
        )
    return formed


def _is_there(text: pa.Scalar) -> bool:
    try:
        text.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return False
    return True


def _microseconds(texts: pa.LargeStringArray) -> pa.Int64Array:
    return texts.cast(pa.timestamp("us")).cast(pa.int64())


def _days(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    days = pc.subtract(texts.cast(pa.date32()).cast(pa.int32()), int((_DAY_ZERO - np.datetime64(0, "D")).astype(int)))
    return _joined('<c s="1"><v>', days.cast(_STRING), "</v></c>")


def _moments(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    since = pc.subtract(_microseconds(texts), int((_DAY_ZERO - np.datetime64(0, "us")).astype(int)))
    return _timed(since, "2", "3")


def _clocks(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    return _timed(_microseconds(_joined("1970-01-01 ", texts)), "4", "5")


def _timed(microseconds: pa.Int64Array, style: str, finer: str) -> pa.LargeStringArray:
    """Numbers of days, shown with milliseconds where there are some."""
    milliseconds = pc.divide(microseconds, 1000)  # whole ones, and few enough for a float
    days = pc.divide(milliseconds.cast(pa.float64()), float(_DAY_MS)).cast(_STRING)
    whole = pc.equal(pc.multiply(pc.divide(milliseconds, 1000), 1000), milliseconds)
    styles = pc.if_else(whole, style, finer).cast(_STRING)
    return _joined('<c s="', styles, '"><v>', days, "</v></c>")


def _text_cells(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    longest = pc.max(pc.utf8_length(texts)).as_py() or 0
    if longest > MAX_CELL:
        raise CellRefused(f"a cell of {longest:,} characters and Excel allows {MAX_CELL:,}")
    if pc.any(pc.match_substring_regex(texts, _UNWRITABLE)).as_py():
        raise CellRefused("a control character that Excel files cannot hold")
    for character, escaped in _ESCAPES.items():
        texts = pc.replace_substring(texts, character, escaped)
    if pc.any(pc.match_substring_regex(texts, _LOOKS_ESCAPED.pattern)).as_py():
        # only Python's expressions look ahead, which runs such as _x0041_x0042_ need
        texts = pa.array([text and _UNDERSCORE.sub("_x005F_", text) for text in texts.to_pylist()], _STRING)
    return pc.fill_null(_joined('<c t="inlineStr"><is><t xml:space="preserve">', texts, "</t></is></c>"), "<c/>")
