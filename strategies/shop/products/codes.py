"""Handles, SKUs and barcodes that no shop can keep."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.shop.importing.row_errors import RowError, errors_at

#: Bytes that an entry of the index on such a column holds, on PostgreSQL.
LONGEST = 2600


def blank_cells(cells: pa.Array, column: str) -> list[RowError]:
    """Cells of nothing but blanks."""
    blank = pc.match_substring_regex(cells, "^[ \t\u00a0]+$")
    return errors_at(_rows(blank), column, "is blank; it needs a value")


def long_codes(cells: pa.Array, column: str) -> list[RowError]:
    """Cells that the column's index cannot hold."""
    lengths = pc.binary_length(cells)
    longest = pc.max(lengths).as_py() or 0
    if longest <= LONGEST:
        return []
    return [
        RowError(row, column, f"has {lengths[row].as_py()} bytes; at most {LONGEST} can be looked up")
        for row in _rows(pc.greater(lengths, LONGEST))
    ]


def _rows(mask: pa.Array) -> list[int]:
    rows: list[int] = np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False)).tolist()
    return rows
