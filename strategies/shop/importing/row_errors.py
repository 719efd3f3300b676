"""What is wrong with rows of a group, and refusing them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import SURPLUS_COLUMN
from batch_jobs.strategies.shop.importing.columns import is_made
from batch_jobs.strategies.shop.importing.work_file import ERRORS, KEY, LINE, OWN

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RowError:
    """What is wrong with a row of a group, or with one cell of it."""

    row: int
    column: str | None
    message: str


def errors_of_file(group: pa.Table) -> list[RowError]:
    """The errors that were found while the rows were put together."""
    noted = group.column(ERRORS)
    return [
        RowError(row, column, message)
        for row in np.flatnonzero(pc.is_valid(noted).to_numpy()).tolist()
        for column, message in json.loads(noted[row].as_py())
    ]


def errors_at(rows: Iterable[int], column: str | None, message: str) -> list[RowError]:
    """The same error in several rows."""
    return [RowError(row, column, message) for row in rows]


def refuse_rows(job: JobRun, group: pa.Table, rows: npt.NDArray[np.int64], errors: list[RowError], whole: str) -> None:
    """Reject rows of a group in the job: those with errors, and those that go with them.

    Args:
        job: keeps the rejects.
        group: the rows.
        rows: the indices of all that are refused.
        errors: why, for the rows that have an error of their own.
        whole: why a row without an error is refused.
    """
    by_row: dict[int, list[RowError]] = {}
    for error in errors:
        by_row.setdefault(error.row, []).append(error)
    for index in rows.tolist():
        line, cells = line_and_cells(group, index)
        key = group.column(KEY)[index].as_py()
        for error in by_row.get(index) or [RowError(index, None, whole)]:
            job.reject(line, error.column, error.message, cells, key)


def line_and_cells(group: pa.Table, row: int) -> tuple[int, dict[str, str | None]]:
    """Where a row is in the input, and its cells as they were read."""
    (cells,) = group.slice(row, 1).to_pylist()
    line = cells[LINE]
    left_out = (*OWN, *(() if cells[SURPLUS_COLUMN] else (SURPLUS_COLUMN,)))
    names = [name for name in cells if name not in left_out]
    return line, {name: cells[name] for name in names if not is_made(name, names)}
