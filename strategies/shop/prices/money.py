"""Amounts: major units in files, whole minor units in the database."""

import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.values.arrays import Converted, each, quoted, trimmed

#: Medusa: currencies without minor units.
WHOLE_CURRENCIES = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf")
)
#: ISO 4217: currencies with thousandths. All others have hundredths.
THOUSANDTHS_CURRENCIES = frozenset(("bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"))
LARGEST = 2**31 - 1

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")


def decimals_of(currency: str) -> int:
    """How many decimals a price in this currency may have."""
    if currency in WHOLE_CURRENCIES:
        return 0
    return 3 if currency in THOUSANDTHS_CURRENCIES else 2


class Money:
    """Prices as cells have them, turned into minor units; one that would have to be rounded is refused."""

    def __init__(self, currency: str) -> None:
        self._currency = currency.upper()
        self._decimals = decimals_of(currency)
        self._units: int = 10**self._decimals
        fraction = rf"(\.\d{{1,{self._decimals}}})?" if self._decimals else ""
        # numbers that a float times the units gives exactly, after rounding, and that fit
        self._plain = rf"^\d{{1,{9 - self._decimals}}}{fraction}$"

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into amounts."""
        texts = trimmed(cells)
        if pc.all(pc.match_substring_regex(texts, self._plain)).as_py() is not False:
            amounts = np.floor(pc.fill_null(texts.cast(pa.float64()), 0.0).to_numpy() * self._units + 0.5)
            return Converted(pa.array(amounts.astype(np.int32), mask=pc.is_null(texts).to_numpy(zero_copy_only=False)))
        return each(texts, pa.int32(), self._parse)

    def _parse(self, cell: str) -> int:
        if not _NUMBER.fullmatch(cell):
            hint = "; write decimals after a point" if "," in cell else ""
            raise ValueError(f"{quoted(cell)} is not a price{hint}")
        above, below = Decimal(cell).as_integer_ratio()
        amount, finer = divmod(above * self._units, below)
        if amount < 0:
            raise ValueError(f"{quoted(cell)} is negative; a price is not")
        if finer:
            decimals = f"{self._decimals} decimals" if self._decimals else "no decimals"
            raise ValueError(f"{quoted(cell)} would be rounded; {self._currency} has {decimals}")
        if amount > LARGEST:
            raise ValueError(f"{quoted(cell)} is more than the database can hold")
        return amount
