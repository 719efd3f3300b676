"""Families of types that a column may have: each goes over the cells until one is none of its own."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import types

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.sdk.lines import named
from batch_jobs.strategies.tables.values.arrays import matching, quoted
from batch_jobs.strategies.tables.values.moments import are_naive, are_zoned
from batch_jobs.strategies.tables.values.notation import DateNotation, Notation, read_plain
from batch_jobs.strategies.tables.values.numbers import EXACT_DIGITS, first_inexact, has_many_digits


@dataclass(frozen=True)
class Cell:
    """A cell of the input, as it is written there; ``files`` are the names of all files where there are several."""

    text: str
    line: int
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{quoted(self.text)} on {named(self.line, self.files)}"


@dataclass(frozen=True)
class Decision:
    """A column's type, and why: the end of a sentence with because; ``cell`` is the one that decided, if one did."""

    type: types.TypeEngine[Any]
    why: str
    cell: Cell | None = None


@dataclass(frozen=True)
class Refused:
    """Why a column is none of a family, and the cell that says so."""

    why: str
    cell: Cell

    def as_text(self) -> Decision:
        """The decision that is left then."""
        return Decision(types.Text(), f"{self.cell} {self.why}", self.cell)


@dataclass(frozen=True)
class Part:
    """Some cells of a column without blanks around them, and their lines.

    ``marked`` are those that are texts in a file which is ``typed``; ``written`` are the cells as the file has them,
    where that is not as plain text.
    """

    texts: pa.Array
    lines: pa.Array
    typed: bool = False
    marked: pa.BooleanArray | None = None
    written: pa.Array | None = None
    files: tuple[str, ...] = ()

    def plain(self, texts: pa.Array) -> "Part":
        """The same cells as plain text."""
        return Part(texts, self.lines, written=self.texts, files=self.files)

    def first_false(self, fits: pa.Array) -> Cell | None:
        """The first cell for which this is false."""
        place = pc.index(pc.fill_null(fits, True), False).as_py()
        return None if place < 0 else self.cell(place)

    def cell(self, place: int) -> Cell:
        """A cell by its place."""
        texts = self.texts if self.written is None else self.written
        return Cell(str(texts[place]), self.lines[place].as_py(), self.files)


def _hint(text: str) -> str:
    """What would make more of a text than text, where people write such values so."""
    return next((hint for looks_like, hint in HINTS if looks_like.fullmatch(text)), "")


class Family(Protocol):
    """Types of one sort."""

    def feed(self, part: Part) -> Refused | None:
        """Take cells into account; returns why the column is none of the family, after which it is not fed again."""

    def decide(self) -> Decision | Refused:
        """The type that holds all cells."""


class Booleans:
    """True and false."""

    def feed(self, part: Part) -> Refused | None:
        """Take cells into account."""
        cell = part.first_false(pc.match_substring_regex(part.texts, r"^(?i:true|false)$"))
        return None if cell is None else Refused("is not true or false", cell)

    def decide(self) -> Decision | Refused:
        """The type that holds all cells."""
        return Decision(types.Boolean(), "every value is true or false")


#: No leading zeros, which a number would lose.
NUMBER = r"^[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?$"
#: How people write what needs an option to be read.
HINTS = (
    (re.compile(r"[+-]?\d{1,3},\d{3}"), "; is it one with decimal or thousands set to a comma?"),
    (re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"), "; is it one with thousands set to a comma?"),
    (re.compile(r"[+-]?(\d+|\d{1,3}([. ]\d{3})+),\d+"), "; is it one with decimal set to a comma?"),
    (re.compile(r"\d{1,2}([./-])\d{1,2}\1(\d{2}|\d{4})( .*)?"), "; is it a day with a date_format?"),
)
NUMBER_LIKE = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$"
ENDLESS = r"^[+-]?(?i:inf|infinity)$"
#: A plus and so many digits are what telephone numbers have.
TELEPHONE = r"^\+\d{7,}$"
_WHOLE = r"^(0|-?[1-9]\d{0,17})$"
_LONG_WHOLE = r"^[+-]?\d+$"
_DECIMAL = r"^-?(0|[1-9]\d*)(\.\d+)?$"
_are_whole, _are_decimals = matching(_WHOLE), matching(_DECIMAL)


class Numbers:
    """Whole numbers, decimals and floating-point numbers, whichever gives every cell back in this database."""

    def __init__(self, database: Database, notation: Notation | None) -> None:
        self._database, self.notation = database, notation
        self._has_finite = False
        self._fraction: Cell | None = None  # the first cells that are no whole number of 64 bits,
        self._exponent: Cell | None = None  # that have an exponent, or are infinite,
        self._endless: Cell | None = None
        self._long: Cell | None = None  # that have more digits than every double keeps,
        self._inexact: Cell | None = None  # and that a double would not give back

    def feed(self, part: Part) -> Refused | None:
        """Take cells into account."""
        if self.notation is not None:
            plain = self.notation.plain(part.texts)
            part = part.plain(plain.values)
            if plain.bad:
                return self._refused(part, part.cell(plain.bad[0][0]))
        if (_are_whole if self._fraction is None else _are_decimals)(part.texts):
            self._has_finite = True
        else:
            refused = self._note_each(part)
            if refused:
                return refused
        self._note_digits(part)
        return None

    def _note_each(self, part: Part) -> Refused | None:
        endless = pc.match_substring_regex(part.texts, ENDLESS)
        fits = pc.or_(pc.match_substring_regex(part.texts, NUMBER), endless)
        cell = part.first_false(pc.and_(fits, pc.invert(pc.match_substring_regex(part.texts, TELEPHONE))))
        if cell is not None:
            return self._refused(part, cell)
        self._has_finite = self._has_finite or pc.all(endless).as_py() is False
        self._endless = self._endless or part.first_false(pc.invert(endless))
        self._exponent = self._exponent or part.first_false(pc.invert(pc.match_substring_regex(part.texts, "[eE]")))
        self._fraction = self._fraction or _first_not_whole(part)
        return None

    def _note_digits(self, part: Part) -> None:
        if self._inexact is not None or (
            self._exponent is None and (pc.max(pc.binary_length(part.texts)).as_py() or 0) <= EXACT_DIGITS
        ):
            return
        self._long = self._long or part.first_false(pc.invert(has_many_digits(part.texts)))
        inexact = first_inexact(part.texts)
        self._inexact = None if inexact is None else part.cell(inexact)

    def _refused(self, part: Part, cell: Cell) -> Refused:
        if pc.match_substring_regex(pa.array([cell.text]), NUMBER_LIKE)[0].as_py() and self.notation is None:
            return Refused("would not be the same as a number", cell)  # leading zeros, a telephone number
        before = part.texts.filter(pc.less(part.lines, cell.line))
        are_whole = self._fraction is None and _first_not_whole(Part(before, part.lines)) is None
        return Refused(f"is not a {'whole ' * are_whole}number{_hint(cell.text)}", cell)

    def decide(self) -> Decision | Refused:
        """The type that holds all cells."""
        if not self._has_finite:
            assert self._endless is not None
            return Refused("is a word where there is no number", self._endless)
        if self._fraction is None:
            return Decision(types.BigInteger(), "every value is a whole number")
        has_decimals = self._database.has_decimals
        if self._endless is None and self._exponent is None and (has_decimals or self._long is None):
            few = "" if self._long else f" of at most {EXACT_DIGITS} digits"
            return Decision(types.Numeric(), f"every value is a decimal number{few}", self._fraction)
        if self._inexact is None:
            return Decision(
                types.Double(), "every value is a floating-point number", self._exponent or self._endless or self._long
            )
        if has_decimals and self._endless is None:
            return Decision(types.Numeric(), "every value is a decimal number", self._inexact)
        beside = f" beside {self._endless}" if has_decimals else ""
        return Refused(f"has more digits than {self._database.name} keeps of a number{beside}", self._inexact)


def _first_not_whole(part: Part) -> Cell | None:
    whole = pc.match_substring_regex(part.texts, _LONG_WHOLE)
    cell = part.first_false(whole)
    try:
        pc.utf8_ltrim(part.texts, "+").filter(pc.fill_null(whole, False)).cast(pa.int64())
    except pa.ArrowInvalid:
        large = pc.and_(whole, pc.greater(pc.utf8_length(part.texts), 18))
        for place in pc.indices_nonzero(pc.fill_null(large, False)).to_pylist():
            if not -(2**63) <= int(part.texts[place].as_py()) < 2**63:
                found = part.cell(place)
                return found if cell is None or found.line < cell.line else cell
    return cell


_MOMENT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6}0*)?)?"


class Times:
    """Days, and times with a zone or without one."""

    def __init__(self, database: Database, zone: str | None, notation: DateNotation | None) -> None:
        self._database, self._zone, self._notation = database, zone, notation
        self._is_clock = notation is not None and not notation.has_day
        self._days: Cell | None = None  # the first cells of each sort
        self._naive: Cell | None = None
        self._zoned: Cell | None = None

    def feed(self, part: Part) -> Refused | None:
        """Take cells into account."""
        if self._notation is not None:
            plain = read_plain(self._notation, part.texts, part.typed, part.marked)
            if plain.bad:
                return Refused(f"is not as {self._notation.format}", part.cell(plain.bad[0][0]))
            if self._is_clock:
                return None
            part = part.plain(plain.values)
        for name, are_such, type in _SORTS:
            if are_such(part.texts) and _casts(part.texts, type):
                self._note(name, part, pc.is_null(part.texts))
                return None
        return self._note_each(part)

    def _note_each(self, part: Part) -> Refused | None:
        masks = {name: pc.match_substring_regex(part.texts, pattern) for name, pattern in _PATTERNS.items()}
        exists = _exist(part.texts, masks)
        cell = part.first_false(exists)
        if cell is not None:
            are_only_days = self._naive is None and self._zoned is None and len(cell.text) <= len("2026-01-31")
            return Refused("is not a day" if are_only_days else "is not a time", cell)
        for name, mask in masks.items():
            self._note(name, part, pc.invert(mask))
        return None

    def _note(self, name: str, part: Part, others: pa.Array) -> None:
        if getattr(self, name) is None:
            setattr(self, name, part.first_false(others))

    def decide(self) -> Decision | Refused:
        """The type that holds all cells."""
        if self._is_clock:
            return Decision(types.Time(), "every value is a time of a day")
        if self._zoned is None:
            return self._without_zone()
        other = self._naive or self._days
        if other is not None and self._zone is None:
            later = max(other, self._zoned, key=lambda cell: cell.line)
            with_zone, without = "has a time zone and others have none", "has no time zone and others have one"
            return Refused(with_zone if later is self._zoned else without, later)
        if self._database.has_time_zones:
            return Decision(types.DateTime(timezone=True), "every value is a time with a zone", self._zoned)
        if self._zone is not None:
            return Decision(types.DateTime(), f"every value is a time, local in {self._zone}", self._zoned)
        return Refused(f"has a time zone and {self._database.name} keeps none", self._zoned)

    def _without_zone(self) -> Decision:
        if self._naive is None:
            return Decision(types.Date(), "every value is a day")
        if self._days is None:
            return Decision(types.DateTime(), "every value is a time without a zone", self._naive)
        why = "every value is a time without a zone or a day, which is its midnight"
        return Decision(types.DateTime(), why, self._naive)


_SORTS: list[tuple[str, Callable[[pa.Array], bool], pa.DataType]] = [
    ("_days", matching(r"^\d{4}-\d\d-\d\d$"), pa.date32()),
    ("_naive", are_naive, pa.timestamp("us")),
    ("_zoned", are_zoned, pa.timestamp("us", "UTC")),
]
_PATTERNS = {"_days": r"^\d{4}-\d\d-\d\d$", "_naive": rf"{_MOMENT}$", "_zoned": rf"{_MOMENT}(Z|[+-]\d\d:\d\d)$"}


def _exist(texts: pa.Array, masks: Mapping[str, pa.BooleanArray]) -> pa.BooleanArray:
    """Which of the cells are days or times that there are, up to the first one that is none."""
    fits = pc.fill_null(pc.or_(pc.or_(masks["_days"], masks["_naive"]), masks["_zoned"]), True)
    end = pc.index(fits, False).as_py()
    begun = pc.replace_substring_regex(texts.slice(0, len(texts) if end < 0 else end), r"(\.\d{6})0+", r"\1")
    sorts = [(masks[name].slice(0, len(begun)), type) for name, _, type in _SORTS]
    if all(_casts(begun.filter(mask), type) for mask, type in sorts):
        return fits
    of_each = [next((type for mask, type in sorts if mask[place].as_py()), None) for place in range(len(begun))]
    parts = (begun.slice(place, 1) for place in range(len(begun)))
    return pa.array([type is None or _casts(part, type) for type, part in zip(of_each, parts, strict=True)])


def _casts(texts: pa.Array, type: pa.DataType) -> bool:
    try:
        texts.cast(type)
    except pa.ArrowInvalid:
        return False
    # Arrow has a year 0, which is none
    return pc.any(pc.starts_with(texts, "0000")).as_py() is not True
