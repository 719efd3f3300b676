"""Rows that lack columns which other rows of the same file have."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch_jobs.strategies.tables.importing.keys import Mask

Indices = npt.NDArray[np.int64]


def by_absence(rows: pa.Table, indices: Indices, absent: Mapping[str, Mask]) -> Iterator[tuple[Indices, pa.Table]]:
    """These rows in groups, each without the columns that its rows lack; one group where no row lacks any.

    Args:
        rows: all rows.
        indices: which of them, in order.
        absent: the rows that lack a column, by the column.
    """
    lacking = {name: mask[indices] for name, mask in absent.items() if mask[indices].any()}
    if not lacking:
        yield indices, _taken(rows, indices)
        return
    patterns, pattern_of = np.unique(np.column_stack(list(lacking.values())), axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        group = indices[pattern_of.reshape(-1) == number]
        dropped = [name for name, lacks in zip(lacking, pattern, strict=True) if lacks]
        yield group, _taken(rows, group).drop_columns(dropped)


def _taken(rows: pa.Table, indices: Indices) -> pa.Table:
    if len(indices) and indices[-1] - indices[0] + 1 == len(indices):
        return rows.slice(int(indices[0]), len(indices))  # a view; taking would copy
    return rows.take(pa.array(indices))
