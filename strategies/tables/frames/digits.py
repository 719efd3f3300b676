"""How many digits the decimals of a column have, where the database does not say."""

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.values.arrays import LARGEST_PRECISION

#: Digits of a column of decimals that needs no more: the product of two such still is a decimal of Arrow's.
PRECISION = 18


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
