"""How numbers, days and times are written in a file: cells of a notation of its own as the plain text of all others."""

import re
from datetime import datetime
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import types

from batch_jobs.strategies.tables.values.arrays import Converted, each, quoted, trimmed
from batch_jobs.strategies.tables.values.options import ValueOptions

#: What stands between thousands in place of the mark that was named: blanks that do not break, a typographer's quote.
_ALIKE = {" ": "[ \u00a0\u202f]", "'": "['\u2019]"}
#: What Arrow reads as Python does, as long as writing it again gives the same.
_ARROW_DIRECTIVES = frozenset("dmYHMS%")
_DIRECTIVE = re.compile(r"%(.)")
_CLOCK = frozenset("HIMSfp")


class Notation(Protocol):
    """How the cells of a column are written."""

    def plain(self, cells: pa.Array) -> Converted:
        """The cells as plain text, and those that are not written so."""


class NumberNotation:
    """Numbers with marks of their own.

    Args:
        decimal: what stands before the decimals.
        thousands: what stands between each three digits before them, if anything.
    """

    def __init__(self, decimal: str, thousands: str | None) -> None:
        point = re.escape(decimal)
        self._between = _ALIKE.get(thousands, re.escape(thousands)) if thousands else None
        whole = rf"([1-9]\d{{0,2}}({self._between}\d{{3}})+|\d+)" if thousands else r"\d+"
        self._pattern = rf"^[+-]?({whole}({point}\d*)?|{point}\d+)([eE][+-]?\d{{1,4}})?$"
        self._decimal = decimal
        self._described = f"decimal mark {decimal!r}" + (f" and thousands mark {thousands!r}" if thousands else "")

    def plain(self, cells: pa.Array) -> Converted:
        """The numbers with a point and nothing else; words, such as NaN, stay what they are."""
        texts = trimmed(cells)
        wrong = pc.and_(
            pc.invert(pc.match_substring_regex(texts, self._pattern)), pc.match_substring_regex(texts, r"\d")
        )
        bad = pc.indices_nonzero(pc.fill_null(wrong, False)).to_pylist()
        plain = pc.replace_substring_regex(texts, self._between, "") if self._between else texts
        plain = plain if self._decimal == "." else pc.replace_substring(plain, self._decimal, ".")
        if not bad:
            return Converted(plain)
        return Converted(
            pc.if_else(wrong, pa.scalar(None, pa.string()), plain),
            [(index, f"{quoted(texts[index].as_py())} is not a number with {self._described}") for index in bad],
        )


class DateNotation:
    """Days and times by a format of ``strptime``, as ISO 8601."""

    def __init__(self, format: str) -> None:
        self.format = format
        used = set(_DIRECTIVE.findall(format))
        self.has_time = bool(used & _CLOCK)
        self.has_day = bool(used - _CLOCK - set("z%"))
        self._by_arrow = self.has_day and used <= _ARROW_DIRECTIVES

    def plain(self, cells: pa.Array) -> Converted:
        """The days and times as ISO 8601 has them."""
        texts = trimmed(cells)
        if self._by_arrow:
            seconds = pc.strptime(texts, format=self.format, unit="s", error_is_null=True)
            # it makes the 2nd of March out of the 30th of February; written again, that is seen
            same = pc.all(pc.equal(pc.strftime(seconds, format=self.format), texts)).as_py() is not False
            if same and seconds.null_count == texts.null_count:
                return Converted(seconds.cast(pa.string() if self.has_time else pa.date32()).cast(pa.string()))
        return each(texts, pa.string(), self._parse)

    def _parse(self, cell: str) -> str:
        try:
            value = datetime.strptime(cell, self.format)
        except ValueError:
            raise ValueError(f"{quoted(cell)} is not as {self.format}") from None
        if not self.has_day:
            return value.timetz().isoformat()
        return value.isoformat(sep=" ") if self.has_time else value.date().isoformat()


def read_plain(notation: Notation, cells: pa.Array, typed: bool, texts: pa.BooleanArray | None) -> Converted:
    """Cells as plain text; in a file with types of its own only those that are ``texts`` are in a notation."""
    if not typed:
        return notation.plain(cells)
    if texts is None:
        return Converted(cells)
    plain = notation.plain(pc.if_else(texts, cells, pa.scalar(None, pa.string())))
    return Converted(pc.if_else(texts, plain.values, cells), plain.bad)


def number_notation(options: ValueOptions) -> NumberNotation | None:
    """How numbers are written, where that is not the plain way."""
    if options.decimal is None and options.thousands is None:
        return None
    return NumberNotation(options.decimal or ".", options.thousands)


def date_notation(options: ValueOptions, *names: str | None) -> DateNotation | None:
    """How the days and times of a column are written that has these names; ``None`` where ISO 8601 is meant."""
    given = options.date_format
    if isinstance(given, dict):
        given = next((given[name] for name in names if name in given), None)
    return DateNotation(given) if given else None


def notation_of(type: types.TypeEngine[object], options: ValueOptions, *names: str) -> Notation | None:
    """How the cells of a column of this type are written, where that is not the plain way."""
    if isinstance(type, (types.Integer, types.Numeric, types.Float)):
        return number_notation(options)
    if not isinstance(type, (types.Date, types.DateTime, types.Time)):
        return None
    found = date_notation(options, *names)
    # one format for all columns is not meant for times of a day, unless it is one of them
    fits = found is None or isinstance(options.date_format, dict) or found.has_day is not isinstance(type, types.Time)
    return found if fits else None


def emptied(cells: pa.Array, words: list[str]) -> pa.Array:
    """The cells without those that are one of the words, blanks around them aside."""
    named = pc.is_in(pc.utf8_trim_whitespace(cells), pa.array(words, pa.string()))
    return pc.if_else(named, pa.scalar(None, pa.string()), cells) if pc.any(named).as_py() else cells
