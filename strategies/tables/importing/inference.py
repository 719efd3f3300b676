"""Finding the type of each column over a whole file, so that no cell loses what it says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import types

from batch_jobs.strategies.tables.formats.reading import Batch
from batch_jobs.strategies.tables.values.arrays import quoted, trimmed
from batch_jobs.strategies.tables.values.options import ValueOptions

EXACT_DIGITS = 15  # significant decimal digits that every database here gives back as they were


@dataclass(frozen=True)
class Decision:
    """A column's type, and why: the end of a sentence with because."""

    type: types.TypeEngine[Any]
    why: str


@dataclass(frozen=True)
class Candidate:
    """A type a column may have: the cells it takes match ``pattern`` and pass ``accepts``."""

    name: str
    type: types.TypeEngine[Any]
    pattern: str
    what: str
    accepts: Callable[[pa.Array], pa.Array] | None = None

    def first_refused(self, texts: pa.Array) -> str | None:
        """The first cell that this type would not hold as it is."""
        refused = _first_false(texts, pc.match_substring_regex(texts, self.pattern))
        if refused is None and self.accepts is not None:
            return _first_false(texts, self.accepts(texts))
        return refused


def _first_false(texts: pa.Array, fits: pa.Array) -> str | None:
    place = pc.index(pc.fill_null(fits, True), False).as_py()
    return None if place < 0 else str(texts[place])


def _few_digits(texts: pa.Array) -> pa.Array:
    return pc.less_equal(pc.utf8_length(pc.replace_substring_regex(texts, "[-.]", "")), EXACT_DIGITS)


def _castable(type: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    def accepts(texts: pa.Array) -> pa.Array:
        try:
            texts.cast(type)
        except pa.ArrowInvalid:
            return pa.array([_casts(text, type) for text in texts])
        return pc.is_valid(texts)

    return accepts


def _casts(text: pa.Scalar, type: pa.DataType) -> bool:
    try:
        text.cast(type)
    except pa.ArrowInvalid:
        return False
    return True


_FLOAT = r"^-?\d(\.\d{1,16})?[eE][+-]?\d{1,2}$|^(0|-?[1-9]\d{0,14}|-?(0|[1-9]\d{0,14})\.\d{1,2})$"
_DECIMAL = r"^(0|-?[1-9]\d*|-?(0|[1-9]\d*)\.\d+)$"
_MOMENT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?"
CANDIDATES = [
    Candidate("integer", types.BigInteger(), r"^(0|-?[1-9]\d{0,17})$", "a whole number"),
    Candidate("decimal", types.Numeric(), _DECIMAL, "a decimal number of at most 15 digits", _few_digits),
    Candidate("float", types.Double(), _FLOAT, "a floating-point number"),
    Candidate("boolean", types.Boolean(), r"^(?i:true|false)$", "true or false"),
    Candidate("date", types.Date(), r"^\d{4}-\d\d-\d\d$", "a day", _castable(pa.date32())),
    Candidate("time", types.DateTime(), rf"{_MOMENT}$", "a time without a zone", _castable(pa.timestamp("us"))),
]  # fmt: skip
ZONED = Candidate(
    "time with zone", types.DateTime(timezone=True), rf"{_MOMENT}(Z|[+-]\d\d:\d\d)$", "a time with a zone",
    _castable(pa.timestamp("us", "UTC")),
)  # fmt: skip


@dataclass
class _Column:
    alive: list[Candidate]
    has_values: bool = False
    refused: tuple[Candidate, str] | None = None

    def feed(self, cells: pa.Array) -> None:
        texts = trimmed(cells)
        if not self.alive or texts.null_count == len(texts):
            return
        self.has_values = True
        lost: list[tuple[Candidate, str]] = []
        for candidate in list(self.alive):
            cell = candidate.first_refused(texts)
            if cell is not None:
                self.alive.remove(candidate)
                lost.append((candidate, cell))
        # what held out longest explains best why a column is text; of several, the plainest
        self.refused = lost[0] if lost else self.refused

    def decide(self) -> Decision:
        if not self.has_values:
            return Decision(types.Text(), "there is no value in the whole file")
        if self.alive:
            chosen = self.alive[0]
            return Decision(chosen.type, f"every value is {chosen.what}")
        assert self.refused is not None
        candidate, cell = self.refused
        if cell.lstrip("-").isdigit():  # leading zeros, or too many digits
            return Decision(types.Text(), f"{quoted(cell)} would not be the same as a number")
        return Decision(types.Text(), f"{quoted(cell)} is not {candidate.what}")


class Inference:
    """Feed it every batch of a file, then ask for the columns.

    Args:
        has_zones: whether the database has times with a zone; where it has none they stay text.
        options: how cells are understood.
        types: of the columns for which the file itself says it.
    """

    def __init__(
        self,
        has_zones: bool = True,
        options: ValueOptions | None = None,
        types: Mapping[str, pa.DataType] | None = None,
    ) -> None:
        self._options = options or ValueOptions()
        self._types = types or {}
        self._candidates = [*CANDIDATES, *([ZONED] if has_zones else [])]
        self._columns: dict[str, _Column] = {}

    def feed(self, batch: Batch) -> None:
        """Take a batch of text columns into account."""
        for name, column in zip(batch.table.column_names, batch.table.columns, strict=True):
            known = self._columns.setdefault(name, _Column(list(self._candidates)))
            for chunk in column.chunks:
                known.feed(chunk)

    def columns(self) -> dict[str, Decision]:
        """The decision for each column seen."""
        return {name: column.decide() for name, column in self._columns.items()}
