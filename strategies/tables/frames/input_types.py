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

    def _count(self, texts: pa.Array) -> None:
        exponents = pc.fill_null(pc.match_substring_regex(texts, "[eE]"), False)
        for text in texts.filter(exponents).to_pylist():
            _, digits, exponent = Decimal(text).as_tuple()
            if isinstance(exponent, int):  # infinity has none
                self._note(max(len(digits) + exponent, 0), max(-exponent, 0))
        plain = texts.filter(pc.invert(exponents))
        point, length = pc.find_substring(plain, "."), pc.binary_length(plain)
        has_point = pc.greater_equal(point, 0)
        fraction = pc.max(pc.if_else(has_point, pc.subtract(pc.subtract(length, point), 1), 0)).as_py()
        self._note(pc.max(pc.if_else(has_point, point, length)).as_py() or 0, fraction or 0)

    def _note(self, whole: int, scale: int) -> None:
        self._whole, self._scale = max(self._whole, whole), max(self._scale, scale)


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
