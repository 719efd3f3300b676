"""Whole arrays of text cells at once where they are clean, cell by cell where they are not."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.importing.keys import canonical

SHOWN = 40  # characters of a bad cell in a message
LAST_YEAR = 9999
LARGEST_PRECISION = 38  # digits of Arrow's decimals
#: How far off a number may be that was computed, in steps from one floating-point number to the next.
NOISE = 4
EXACT_UNITS = 2.0**53  # below it every whole number is a floating-point number
EXACT_POWER = 22  # and so are the powers of ten up to this


@dataclass(frozen=True)
class Converted:
    """Typed values, null where a cell is empty or bad, and the bad cells by row."""

    values: pa.Array
    bad: list[tuple[int, str]] = field(default_factory=list)


class Kind(ABC):
    """What a column takes."""

    #: The type whose values it holds all and as they are; ``None`` where each is to be read from text.
    takes: pa.DataType | None = None

    @abstractmethod
    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""


def quoted(cell: str) -> str:
    """A cell for a message: shortened, in quotes, on one line."""
    return repr(cell if len(cell) <= SHOWN else f"{cell[: SHOWN - 1]}…")


def trimmed(cells: pa.Array) -> pa.Array:
    """Cells without blanks around them; what is then empty is null."""
    stripped = cells if has_only_visible(cells) else pc.utf8_trim_whitespace(cells)
    empty = pc.equal(stripped, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), stripped) if pc.any(empty).as_py() else stripped


def matching(pattern: str) -> Callable[[pa.Array], bool]:
    """Tells whether all cells match the pattern."""
    return lambda texts: pc.all(pc.match_substring_regex(texts, pattern)).as_py() is not False


def any_of(*tests: Callable[[pa.Array], bool]) -> Callable[[pa.Array], bool]:
    """Tells whether all cells pass one of the tests, the first of which should be the one that most pass."""
    return lambda texts: any(test(texts) for test in tests)


def digits_or(pattern: str) -> Callable[[pa.Array], bool]:
    """Tells whether all cells are made of digits, which is seen much faster, or match the pattern."""
    by_pattern = matching(pattern)
    return lambda texts: has_only_digits(texts) or by_pattern(texts)


class Parsed(Kind):
    """A kind whose cells Arrow casts when all of them are plain, and that are parsed one by one otherwise.

    Args:
        type: Arrow's type of the values.
        plain: tells whether cells may be cast; if Arrow then casts them, they mean to it what they mean to ``parse``.
        parse: turns one cell into a value, or raises ``ValueError`` with what is wrong with it.
        kept: tells whether values that were cast say what their cells say; where they always do, it is left out.
        takes: see ``Kind``.
    """

    def __init__(
        self,
        type: pa.DataType,
        plain: Callable[[pa.Array], bool],
        parse: Callable[[str], Any],
        kept: Callable[[pa.Array, pa.Array], bool] | None = None,
        takes: pa.DataType | None = None,
    ) -> None:
        self._type, self._plain, self._parse, self._kept = type, plain, parse, kept
        self.takes = takes

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        texts = trimmed(cells)
        if self._plain(texts):
            try:
                values = texts.cast(self._type)
                if self._kept is None or self._kept(texts, values):
                    return Converted(values)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                pass  # a cell is out of range or no such day, or Arrow has no such cast: the slow way tells
        return each(texts, self._type, self._parse)


class Beyond(Kind):
    """A kind beside whose values the database has others, which only its server reads, from text.

    Args:
        kind: what takes the usual values.
        beyond: gives the text of such another value, or ``None`` where a cell is none.
    """

    def __init__(self, kind: Kind, beyond: Callable[[str], str | None]) -> None:
        self._kind, self._beyond = kind, beyond
        self.takes = kind.takes

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column; into text all of them where one is such another value."""
        converted = self._kind.convert(cells)
        if not converted.bad:
            return converted
        found = {index: self._beyond(cells[index].as_py().strip()) for index, _ in converted.bad}
        if not any(found.values()):
            return converted
        texts = canonical(pa.chunked_array([converted.values])).to_pylist()
        for index, text in found.items():
            texts[index] = text
        return Converted(pa.array(texts, pa.string()), [bad for bad in converted.bad if found[bad[0]] is None])


def exactly(kind: Kind, values: pa.Array) -> pa.Array | None:
    """Values as a column's kind has them; ``None`` where it may not hold each as it is, which text then says."""
    wanted = kind.takes
    if wanted is None or (pa.types.is_floating(wanted) and values.type == wanted and not _all_finite(values)):
        return None
    if pa.types.is_float64(wanted) and pa.types.is_decimal128(values.type):
        return _nearest(values)
    if values.type == wanted:
        return values if _in_years(values) else None
    if pa.types.is_decimal(wanted) and pa.types.is_floating(values.type):
        values, count = rounded(values, wanted.scale), values.null_count
        if values.null_count > count:
            return None
    are_whole, is_decimal = pa.types.is_integer(values.type), pa.types.is_decimal(wanted)
    if not (are_whole and (pa.types.is_integer(wanted) or is_decimal)) and not (
        is_decimal and pa.types.is_decimal(values.type)
    ):
        return None
    try:
        return values.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _nearest(values: pa.Decimal128Array) -> pa.Array | None:
    """Decimals as the nearest floating-point numbers; ``None`` where one has too many digits to be sure."""
    scale = values.type.scale
    low, high = _words(values)
    if scale < 0 or scale > EXACT_POWER or (high != low >> 63).any() or (np.abs(low) >= EXACT_UNITS).any():
        return None
    # of two numbers that are exact, the quotient is rounded once
    numbers = pa.array(low / 10.0**scale)
    return pc.if_else(values.is_valid(), numbers, pa.scalar(None, pa.float64()))


def _words(values: pa.Decimal128Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The lower and the higher half of each decimal, and zeros where there is none."""
    words = np.frombuffer(values.buffers()[1], np.int64, 2 * len(values), 16 * values.offset).reshape(-1, 2)
    if values.null_count:
        words = np.where(values.is_valid().to_numpy(zero_copy_only=False)[:, None], words, 0)
    return words[:, 0], words[:, 1]


def rounded(values: pa.Array, scale: int) -> pa.Decimal128Array:
    """Floating-point numbers as the decimals that they are but for the noise of computing; null where they are none."""
    numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore", over="ignore"):
        units = np.rint(numbers * 10.0**scale)
        is_such = np.abs(units / 10.0**scale - numbers) <= NOISE * np.spacing(np.abs(numbers))
        is_such &= np.abs(units) < EXACT_UNITS
    low = np.where(is_such, units, 0).astype(np.int64)
    wide = np.stack([low, low >> 63], axis=1)
    type = pa.decimal128(LARGEST_PRECISION, scale)
    decimals = pa.Array.from_buffers(type, len(low), [None, pa.py_buffer(wide)])
    return pc.if_else(pa.array(is_such), decimals, pa.scalar(None, type))


def _all_finite(values: pa.Array) -> bool:
    return pc.all(pc.is_finite(values)).as_py() is not False


def _in_years(values: pa.Array) -> bool:
    """Whether days and times are of years that databases have."""
    if not pa.types.is_date32(values.type) and not pa.types.is_timestamp(values.type):
        return True
    least, most = pc.min_max(pc.year(values)).values()
    return not least.is_valid or (least.as_py() >= 1 and most.as_py() <= LAST_YEAR)


def each(texts: pa.Array, type: pa.DataType, parse: Callable[[str], Any]) -> Converted:
    """Parse cell by cell, keeping what is wrong with the bad ones."""
    values, bad = [], []
    for index, text in enumerate(texts.to_pylist()):
        try:
            values.append(None if text is None else parse(text))
        except ValueError as error:
            values.append(None)
            bad.append((index, str(error)))
    return Converted(pa.array(values, type), bad)


def only_between(cells: pa.Array, first: str, last: str) -> bool:
    """Whether no cell has a byte outside of this range; ``False`` too where the column's bytes cannot be looked at."""
    if cells.type != pa.string():
        return False
    found, _ = characters_of(cells)
    return not len(found) or bool(found.min() >= ord(first) and found.max() <= ord(last))


def has_nul(cells: pa.Array) -> bool:
    """Whether a cell may have a NUL character."""
    return not only_between(cells, "\x01", "\xff")


def has_only_digits(cells: pa.Array) -> bool:
    """Whether the cells are made of nothing but digits, ``-``, ``.`` and ``/``."""
    return only_between(cells, "-", "9")


def has_only_visible(cells: pa.Array) -> bool:
    """Whether the cells are made of visible ASCII characters, so without any blank."""
    return only_between(cells, "!", "~")


def characters_of(cells: pa.StringArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """The bytes of all cells, and where in them each begins; one more is the end of the last."""
    _, offsets, characters = cells.buffers()
    if not len(cells) or characters is None:
        return np.empty(0, np.uint8), np.zeros(len(cells) + 1, np.int32)
    edges = np.frombuffer(offsets, np.int32, len(cells) + 1, cells.offset * np.int32().itemsize)
    return np.frombuffer(characters, np.uint8)[edges[0] : edges[-1]], edges - edges[0]
