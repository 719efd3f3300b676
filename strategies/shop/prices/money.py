"""Amounts: major units in files, whole minor units in the database."""

import re
from decimal import ROUND_FLOOR, Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.values.arrays import Converted, each, quoted, trimmed

#: Medusa: currencies without minor units; every other one has hundredths, those with thousandths too.
WHOLE_CURRENCIES = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf")
)
LARGEST = 2**31 - 1

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
#: Numbers that a float times a hundred gives exactly, after rounding.
_PLAIN = r"^\d{1,7}(\.\d{1,2})?$"


def units_of(currency: str) -> int:
    """How many minor units one major unit has."""
    return 1 if currency in WHOLE_CURRENCIES else 100


class Money:
    """Prices as cells have them, turned into minor units; halves are rounded up, as Medusa does."""

    def __init__(self, currency: str) -> None:
        self._units = units_of(currency)

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into amounts."""
        texts = trimmed(cells)
        if pc.all(pc.match_substring_regex(texts, _PLAIN)).as_py() is not False:
            amounts = np.floor(pc.fill_null(texts.cast(pa.float64()), 0.0).to_numpy() * self._units + 0.5)
            return Converted(pa.array(amounts.astype(np.int32), mask=pc.is_null(texts).to_numpy(zero_copy_only=False)))
        return each(texts, pa.int32(), self._parse)

    def _parse(self, cell: str) -> int:
        if not _NUMBER.fullmatch(cell):
            hint = "; write decimals after a point" if "," in cell else ""
            raise ValueError(f"{quoted(cell)} is not a price{hint}")
        amount = int((Decimal(cell) * self._units + Decimal("0.5")).to_integral_value(ROUND_FLOOR))
        if not -LARGEST <= amount <= LARGEST:
            raise ValueError(f"{quoted(cell)} is more than the database can hold")
        return amount
