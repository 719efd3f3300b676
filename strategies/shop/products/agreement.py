"""Whether all rows of a product say the same of it. Medusa: its first row is the one that counts."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError
from batch_jobs.strategies.shop.importing.work_file import LINE
from batch_jobs.strategies.shop.state import whole
from batch_jobs.strategies.tables.values.arrays import quoted

Indices = npt.NDArray[np.int64]


def differing_cells(
    group: pa.Table, product_of: Indices, first: Indices, columns: list[str], place: Callable[[int], str]
) -> list[RowError]:
    """The cells that differ from that of their product's first row; an empty one differs from none.

    Args:
        group: the rows, those of one product one after another.
        product_of: by row, its product.
        first: by product, its first row.
        columns: those that are the product's.
        place: a line for people.
    """
    if len(first) == len(product_of):
        return []
    found: list[RowError] = []
    for column in columns:
        cells = pc.fill_null(whole(group.column(column)), "")
        if not _changes_within(cells, product_of).any():
            continue
        firsts = cells.take(pa.array(first[product_of]))
        differing = pc.and_(pc.not_equal(cells, firsts), pc.not_equal(cells, "")).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(differing).tolist():
            line = group.column(LINE)[int(first[product_of[row]])].as_py()
            cell, taken = cells[row].as_py(), firsts[row].as_py()
            message = (
                f"is {quoted(cell)} where {place(line)} of the same product has {quoted(taken) if taken else 'none'}"
            )
            found.append(RowError(row, column, message))
    return found


def _changes_within(cells: pa.Array, product_of: Indices) -> Mask:
    """Which rows, from the second on, have another cell than the row above of the same product."""
    differs = pc.not_equal(cells.slice(1), cells.slice(0, len(cells) - 1)).to_numpy(zero_copy_only=False)
    changes: Mask = differs & (product_of[1:] == product_of[:-1])
    return changes
