"""What is wrong with rows of a group, and which keys are bad by it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import SURPLUS_COLUMN
from batch_jobs.strategies.shop.importing.work_file import FAULTS, LINE, OWN

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fault:
    """What is wrong with a row of a group, or with one cell of it."""

    row: int
    column: str | None
    message: str


def faults_of_file(group: pa.Table) -> list[Fault]:
    """The faults that were found while the rows were put together."""
    noted = group.column(FAULTS)
    return [
        Fault(row, column, message)
        for row in np.flatnonzero(pc.is_valid(noted).to_numpy()).tolist()
        for column, message in json.loads(noted[row].as_py())
    ]


def faults_at(rows: Iterable[int], column: str | None, message: str) -> list[Fault]:
    """The same fault in several rows."""
    return [Fault(row, column, message) for row in rows]


def refuse_rows(job: JobRun, group: pa.Table, rows: npt.NDArray[np.int64], faults: list[Fault], whole: str) -> None:
    """Tell the job which rows of a group are refused: those with faults, and those that go with them.

    Args:
        job: whom they are told to.
        group: the rows.
        rows: the indices of all that are refused.
        faults: why, for the rows that have a fault of their own.
        whole: why a row without a fault is refused.
    """
    by_row: dict[int, list[Fault]] = {}
    for fault in faults:
        by_row.setdefault(fault.row, []).append(fault)
    for index in rows.tolist():
        line, cells = line_and_cells(group, index)
        for fault in by_row.get(index) or [Fault(index, None, whole)]:
            job.reject(line, fault.column, fault.message, cells)


def line_and_cells(group: pa.Table, row: int) -> tuple[int, dict[str, str | None]]:
    """Where a row is in the input, and its cells as they were read."""
    (cells,) = group.slice(row, 1).to_pylist()
    line = cells[LINE]
    left_out = (*OWN, *(() if cells[SURPLUS_COLUMN] else (SURPLUS_COLUMN,)))
    return line, {name: cell for name, cell in cells.items() if name not in left_out}
