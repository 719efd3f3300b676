"""Fields of rows that are there: which of them the file changes, and what the rows are to be."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Boolean, Integer, Table

from batch_jobs.strategies.shop.importing.row_errors import Mask
from batch_jobs.strategies.shop.products.matching import differs, is_null
from batch_jobs.strategies.shop.state import whole

#: What an empty cell means where the column of the table may not be null: this for a new row, and no change for one
#: that is there. Medusa has the database refuse it.
DEFAULTS: dict[str, Any] = {
    "status": "draft",
    "discountable": True,
    "allow_backorder": False,
    "manage_inventory": True,
}


@dataclass
class FieldChanges:
    """By field: the values that rows are to have, those they have now as text, and which ones differ."""

    values: dict[str, pa.Array]
    before: dict[str, pa.Array]
    differs: dict[str, Mask]

    @property
    def changed(self) -> Mask:
        """Which rows differ in any field."""
        changed: Mask = np.logical_or.reduce(list(self.differs.values()))
        return changed


def field_changes(values: dict[str, pa.Array], table: Table, state: pa.Table, at: pa.Array) -> FieldChanges:
    """Compare rows of the file with those of the shop.

    Args:
        values: by field, what the file has.
        table: the fields' table.
        state: the shop's rows as text.
        at: for each row of the file its row of ``state``, null where it is new.
    """
    changes = FieldChanges({}, {}, {})
    for name, given in values.items():
        before = whole(state.column(name)).take(at)
        value = given
        if name in DEFAULTS:
            value = pc.coalesce(given, _typed(table, name, before), pa.scalar(DEFAULTS[name], given.type))
        # an empty text and none are written alike in a file, so one is no change of the other
        different = differs(pc.fill_null(before, ""), pc.fill_null(value.cast(pa.string()), ""))
        changes.values[name], changes.before[name] = value, before
        changes.differs[name] = different & ~is_null(at)
    return changes


def _typed(table: Table, name: str, texts: pa.Array) -> pa.Array:
    kind = table.c[name].type
    if isinstance(kind, Boolean):
        return texts.cast(pa.bool_())
    return texts.cast(pa.int32()) if isinstance(kind, Integer) else texts
