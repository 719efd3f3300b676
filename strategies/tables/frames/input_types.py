"""The types of an input's columns in frames: the same for every chunk, as given or found over the whole file."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import MetaData, Table, types

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.tables.formats.reading import Batch
from batch_jobs.strategies.tables.frames.digits import Digits
from batch_jobs.strategies.tables.importing.families import Booleans, Decision, Family, Numbers, Part, Refused, Times
from batch_jobs.strategies.tables.importing.inference import Column, Inference
from batch_jobs.strategies.tables.importing.plan import ColumnToCreate
from batch_jobs.strategies.tables.values.arrays import LARGEST_PRECISION, characters_of, only_between
from batch_jobs.strategies.tables.values.notation import DateNotation, Notation
from batch_jobs.strategies.tables.values.numbers import EXACT_DIGITS

#: Decimals where ``types`` says numeric, and no more.
SCALE = 9
TRUTHS = pa.array(["true", "false", None])
MINUS, POINT, ZERO = ord("-"), ord("."), ord("0")


class _Frames(Database):
    """Frames hold whatever a file says: decimals of any scale, times with a zone."""

    name = "pandas"


class _Decimals(Numbers):
    """Numbers whose digits are counted: Arrow's decimals have a precision and a scale."""

    def __init__(self, database: Database, notation: Notation | None) -> None:
        super().__init__(database, notation)
        self._digits = Digits()

    def feed(self, part: Part) -> Refused | None:
        """Take cells into account."""
        refused = super().feed(part)
        if refused is None:
            self._digits.feed(part.texts if self.notation is None else self.notation.plain(part.texts).values)
        return refused

    def decide(self) -> Decision | Refused:
        """The type that holds all cells."""
        decision = super().decide()
        if isinstance(decision, Refused) or type(decision.type) is not types.Numeric:
            return decision
        precision = self._digits.precision
        if self._digits.are_too_many:
            return Decision(types.Text(), f"a number has more than {precision} digits", decision.cell)
        return Decision(types.Numeric(precision, self._digits.scale), decision.why, decision.cell)

    def is_alike(self, texts: pa.Array) -> bool:
        """Whether cells are surely numbers of the type until now, if they can be converted to it."""
        if self.notation is not None or self._exponent is not None or not only_between(texts, "-", "9"):
            return False
        characters, edges = characters_of(texts)
        lengths = np.diff(edges)
        starts, lengths = edges[:-1][lengths > 0], lengths[lengths > 0]
        if not len(starts) or lengths.max() > EXACT_DIGITS or (characters[starts + lengths - 1] == POINT).any():
            return False
        if self._fraction is None and (characters == POINT).any():
            return False
        is_negative = characters[starts] == MINUS
        first = characters[np.minimum(starts + is_negative, len(characters) - 1)]
        second = characters[np.minimum(starts + is_negative + 1, len(characters) - 1)]
        is_padded = (first == ZERO) & (is_negative | (lengths > 1)) & (second != POINT)
        return not (is_padded | (first == POINT)).any()


class _Days(Times):
    """Days and times, of which days are known at once."""

    def is_alike(self, texts: pa.Array) -> bool:
        """Whether cells are surely days, if they can be converted to such."""
        if self._notation is not None or self._naive is not None or self._zoned is not None:
            return False
        lengths = np.diff(characters_of(texts)[1])
        return only_between(texts, "-", "9") and bool((lengths[lengths > 0] == len("2026-01-31")).all())


class _Truths(Booleans):
    """True and false."""

    def is_alike(self, texts: pa.Array) -> bool:
        """Whether cells are surely such words."""
        return pc.all(pc.is_in(texts, TRUTHS)).as_py() is not False


class InputTypes(Inference):
    """Feed it every batch of an input, then ask for the columns.

    Decided by the rule of new tables (docs/files.md), as a database that holds everything would have them.
    """

    def found(self) -> list[ColumnToCreate]:
        """The columns in their order, each with its type and why."""
        return [ColumnToCreate.decided(name, decision) for name, decision in self.columns().items()]

    def _feed(self, known: Column, name: str, column: pa.ChunkedArray, batch: Batch) -> None:
        if not known.is_decided:  # whether it has gaps is of no use here
            super()._feed(known, name, column, batch)

    def _families(self, numbers: Notation | None, dates: DateNotation | None) -> list[Family]:
        return [
            _Decimals(self._database, numbers), _Truths(), _Days(self._database, self._options.time_zone, dates)
        ]  # fmt: skip

    def _given(self, name: str) -> Decision | None:
        given = super()._given(name)
        if given is not None and type(given.type) is types.Numeric and given.type.precision is None:
            return Decision(types.Numeric(LARGEST_PRECISION, SCALE), given.why)
        return given


class LikelyTypes(InputTypes):
    """As ``InputTypes``, of cells that are converted to the types found so far: whether they can be is seen then.

    So most need not be looked at.
    """

    #: Whether a cell was looked at since this was set to false; otherwise the types are those from before.
    has_looked = False

    def _feed(self, known: Column, name: str, column: pa.ChunkedArray, batch: Batch) -> None:
        if known.is_decided or (known.has_values and self._is_alike(known, column, batch)):
            return
        self.has_looked = True
        super()._feed(known, name, column, batch)

    def _is_alike(self, known: Column, column: pa.ChunkedArray, batch: Batch) -> bool:
        """Whether cells are surely of the type that was found so far; much faster than to look at each."""
        if self._options.null_values or batch.texts or len(known.families) != 1 or column.num_chunks != 1:
            return False
        (family,) = known.families
        return isinstance(family, _Decimals | _Days | _Truths) and family.is_alike(column.chunk(0))


FRAMES = _Frames()


def input_table(columns: list[ColumnToCreate]) -> Table:
    """The columns as a table that is in no database, whose cells the input's are converted to."""
    return Table("input", MetaData(), *(column.column([]) for column in columns))
