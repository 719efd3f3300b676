"""What a kind of import brings to the one way in which all of them run, and what it hands back."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.shop.importing.changes import Changes, Tally
from batch_jobs.strategies.shop.importing.row_errors import Fault, Mask

Indices = npt.NDArray[np.int64]


@dataclass
class Checked:
    """A group converted.

    ``rows`` is what its kind makes of it; ``key_of`` is by row the number of its key.
    """

    group: pa.Table
    rows: Any
    faults: list[Fault]
    key_of: Indices

    @property
    def keys(self) -> int:
        """How many keys the group has."""
        return int(self.key_of[-1]) + 1 if len(self.key_of) else 0


@dataclass
class Planned:
    """What becomes of a group.

    ``refused`` is by row, whether it is refused, alone or with its key; ``unchanged`` is by key, whether the shop has
    it as it is in the file.
    """

    changes: Changes
    faults: list[Fault]
    refused: Mask
    unchanged: Mask


class Planner(Protocol):
    """Turns groups of rows into changes of the shop, for one phase of a job; may be asked by several threads."""

    #: Why a row without a fault of its own is refused.
    with_its_key: str

    def check(self, group: pa.Table) -> Checked:
        """Convert a group; touches no database."""

    def plan(self, connection: Connection, checked: Checked) -> Planned:
        """Find what the group changes; reads only."""

    def units(self, keys: int, rows: int) -> int:
        """How much a job goes through with that many keys and rows."""

    def tally_unchanged(self, keys: int, rows: int) -> Tally:
        """The tally of that many unchanged keys and rows."""


def bad_keys(faults: list[Fault], checked: Checked) -> Mask:
    """By key, whether one of its rows has a fault."""
    bad = np.zeros(checked.keys, dtype=bool)
    bad[checked.key_of[[fault.row for fault in faults]]] = True
    return bad
