"""The types of an input's columns in frames: the same for every chunk, as given or found over the whole file."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import MetaData, Table, types

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.tables.formats.reading import Batch
from batch_jobs.strategies.tables.importing.families import Decision, Numbers, Part, Refused
from batch_jobs.strategies.tables.importing.inference import Column, Inference
from batch_jobs.strategies.tables.importing.plan import ColumnToCreate
from batch_jobs.strategies.tables.values.arrays import LARGEST_PRECISION, characters_of, only_between
from batch_jobs.strategies.tables.values.notation import Notation

#: Digits of a column of decimals that needs no more: the product of two such still is a decimal of Arrow's.
PRECISION = 18
#: Decimals where ``types`` says numeric, and no more.
SCALE = 9


class _Frames(Database):
    """Frames hold whatever a file says: decimals of any scale, times with a zone."""

    name = "pandas"


class _Decimals(Numbers):
    """Numbers whose digits are counted: Arrow's decimals have a precision and a scale."""

    def __init__(self, database: Database, notation: Notation | None) -> None:
        super().__init__(database, notation)
        self._whole = self._scale = 0

    def feed(self, part: Part) -> Refused | None:
        """Take cells into account."""
        refused = super().feed(part)
        if refused is None:
            self._count(part.texts if self.notation is None else self.notation.plain(part.texts).values)
        return refused

    def decide(self) -> Decision | Refused:
        """The type that holds all cells."""
        decision = super().decide()
        if isinstance(decision, Refused) or type(decision.type) is not types.Numeric:
            return decision
        precision = PRECISION if self._whole + self._scale <= PRECISION else LARGEST_PRECISION
        if self._whole + self._scale > precision:
            return Decision(types.Text(), f"a number has more than {precision} digits", decision.cell)
        return Decision(types.Numeric(precision, self._scale), decision.why, decision.cell)

    def holds(self, texts: pa.Array) -> bool:
        """Whether cells are numbers of no more digits than those before them; most are, which is seen at once."""
        shape = None if self.notation is not None or self._exponent is not None else _shape(texts)
        return shape is not None and shape[0] <= self._whole and shape[1] <= self._scale

    def _count(self, texts: pa.Array) -> None:
        if self._fraction is None:
            self._note(pc.max(pc.binary_length(texts)).as_py() or 0, 0)
            return
        if self._exponent is not None:
            exponents = pc.fill_null(pc.match_substring_regex(texts, "[eE]"), False)
            for text in texts.filter(exponents).to_pylist():
                _, digits, exponent = Decimal(text).as_tuple()
                if isinstance(exponent, int):  # infinity has none
                    self._note(max(len(digits) + exponent, 0), max(-exponent, 0))
            texts = texts.filter(pc.invert(exponents))
        point = pc.find_substring(texts, ".")
        length = pc.binary_length(texts)
        whole = pc.if_else(pc.less(point, 0), length, point)
        self._note(pc.max(whole).as_py() or 0, (pc.max(pc.subtract(length, whole)).as_py() or 1) - 1)

    def _note(self, whole: int, scale: int) -> None:
        self._whole, self._scale = max(self._whole, whole), max(self._scale, scale)


def _shape(texts: pa.Array) -> tuple[int, int] | None:
    """How many digits numbers have before and after the point at most; ``None`` where one is not plain."""
    if not only_between(texts, ".", "9"):
        return None
    characters, edges = characters_of(texts)
    starts, lengths = edges[:-1], np.diff(edges)
    starts, lengths = starts[lengths > 0], lengths[lengths > 0]
    points = np.flatnonzero(characters == ord("."))
    cells = np.searchsorted(starts, points, side="right") - 1
    whole, fraction = lengths.copy(), np.zeros_like(lengths)
    whole[cells] = points - starts[cells]
    fraction[cells] = lengths[cells] - whole[cells] - 1
    first = characters[starts]
    has_zero = (first == ord("0")) & (whole > 1)
    is_plain = bool((np.diff(cells) > 0).all()) and whole.all() and fraction[cells].all() and not has_zero.any()
    if not is_plain or (characters == ord("/")).any():
        return None
    return int(whole.max(initial=0)), int(fraction.max(initial=0))


class InputTypes(Inference):
    """Feed it every batch of an input, then ask for the columns.

    Decided by the rule of new tables (docs/files.md), as a database that holds everything would have them.
    """

    def found(self) -> list[ColumnToCreate]:
        """The columns in their order, each with its type and why."""
        return [ColumnToCreate.decided(name, decision) for name, decision in self.columns().items()]

    def _feed(self, known: Column, name: str, column: pa.ChunkedArray, batch: Batch) -> None:
        # whether it has gaps is of no use here, and most cells are like those before them
        if known.is_decided or (known.has_values and self._is_alike(known, column, batch)):
            return
        super()._feed(known, name, column, batch)

    def _is_alike(self, known: Column, column: pa.ChunkedArray, batch: Batch) -> bool:
        """Whether cells are surely of the type that was found so far; much faster than to look at each."""
        if self._options.null_values or batch.texts or len(known.families) != 1 or column.num_chunks != 1:
            return False
        (family,) = known.families
        return isinstance(family, _Decimals) and family.holds(column.chunk(0))

    def _numbers(self, notation: Notation | None) -> Numbers:
        return _Decimals(self._database, notation)

    def _given(self, name: str) -> Decision | None:
        given = super()._given(name)
        if given is not None and type(given.type) is types.Numeric and given.type.precision is None:
            return Decision(types.Numeric(LARGEST_PRECISION, SCALE), given.why)
        return given


FRAMES = _Frames()


def input_table(columns: list[ColumnToCreate]) -> Table:
    """The columns as a table that is in no database, whose cells the input's are converted to."""
    return Table("input", MetaData(), *(column.column([]) for column in columns))
