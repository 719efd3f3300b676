"""The types of an input's columns in frames: the same for every chunk, as given or found over the whole file."""

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import MetaData, Table, types

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.tables.importing.families import Decision, Numbers, Part, Refused
from batch_jobs.strategies.tables.importing.inference import Inference
from batch_jobs.strategies.tables.importing.plan import ColumnToCreate
from batch_jobs.strategies.tables.values.notation import Notation
from batch_jobs.strategies.tables.values.numbers import LARGEST_PRECISION

#: Digits of a column of decimals that needs no more: the product of two such still is a decimal of Arrow's.
PRECISION = 18
#: Decimals where ``types`` says numeric, and no more.
SCALE = 9


class _Frames(Database):
    """Frames hold whatever a file says: decimals of any scale, times with a zone."""

    name = "pandas"


class Digits:
    """Counts the digits of decimal numbers: Arrow's decimals have a precision and a scale."""

    def __init__(self) -> None:
        self.whole = self.scale = 0

    @property
    def precision(self) -> int:
        """Of a decimal that holds all of them, where one of Arrow's does."""
        return PRECISION if self.whole + self.scale <= PRECISION else LARGEST_PRECISION

    @property
    def are_too_many(self) -> bool:
        """Whether no decimal of Arrow's holds them."""
        return self.whole + self.scale > self.precision

    def feed(self, texts: pa.Array) -> None:
        """Take numbers, as text, into account."""
        unsigned = pc.utf8_ltrim(texts, "+-")
        exponents = pc.fill_null(pc.match_substring_regex(unsigned, r"^[\d.]+[eE][+-]?\d+$"), False)
        for text in unsigned.filter(exponents).to_pylist():
            _, digits, exponent = Decimal(text).as_tuple()
            self._note(max(len(digits) + int(exponent), 0), max(-int(exponent), 0))
        plain = unsigned.filter(pc.invert(exponents))
        point, length = pc.find_substring(plain, "."), pc.binary_length(plain)
        has_point = pc.greater_equal(point, 0)
        fraction = pc.max(pc.if_else(has_point, pc.subtract(pc.subtract(length, point), 1), 0)).as_py()
        self._note(pc.max(pc.if_else(has_point, point, length)).as_py() or 0, fraction or 0)

    def _note(self, whole: int, scale: int) -> None:
        self.whole, self.scale = max(self.whole, whole), max(self.scale, scale)


class _Decimals(Numbers):
    """Numbers whose digits are counted."""

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


class InputTypes(Inference):
    """Feed it every batch of an input, then ask for the columns.

    Decided by the rule of new tables (docs/files.md), as a database that holds everything would have them.
    """

    def found(self) -> list[ColumnToCreate]:
        """The columns in their order, each with its type and why."""
        return [ColumnToCreate.decided(name, decision) for name, decision in self.columns().items()]

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
