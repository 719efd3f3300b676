"""Looking over the groups of a work file: what each of them would do; the target is only read."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, Table

from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.shop.importing.planned_rows import PlannedRows, planned_rows
from batch_jobs.strategies.shop.importing.planning import SAMPLE_SIZE, Changes, Checked, Planned, Planner, Tally
from batch_jobs.strategies.shop.importing.row_errors import Mask, refuse_rows
from batch_jobs.strategies.shop.importing.shop_log import shop_tables
from batch_jobs.strategies.shop.importing.work_file import read_groups, writing_work_file
from batch_jobs.strategies.tables.changes.blocks import ChangedRows
from batch_jobs.strategies.tables.changes.planned import PlannedChanges, planning
from batch_jobs.strategies.tables.importing.plan import SampledChange, SampledReject, place_lines
from batch_jobs.strategies.tables.prefetch import prefetched

T = TypeVar("T")
#: A group, what becomes of it, and the rows that it would change.
Look = tuple[Checked, Planned, list[ChangedRows]]

#: The columns of the file that says which keys are unchanged and which are refused, group by group.
MARKS = pa.schema([("unchanged", pa.bool_()), ("refused", pa.bool_())])


@dataclass(frozen=True)
class ChangesOfGroups:
    """Where the changes of rows go that a preview finds."""

    rows: PlannedRows
    file: PlannedChanges


@contextmanager
def changes_of_groups(job: JobRun, written: Sequence[Table]) -> Iterator[ChangesOfGroups]:
    """Write the file of what a job is going to change; it is there once the block has ended well."""
    with (
        shop_tables(job, written) as shop,
        planned_rows(shop) as rows,
        planning(job.files, job.id, job.changes.options) as file,
    ):
        yield ChangesOfGroups(rows, file)


def preview(job: JobRun, connections: list[Connection], planner: Planner, changed: ChangesOfGroups) -> Tally:
    """Find what all groups would do, and keep it in the job's plan and rejects.

    Args:
        job: the job.
        connections: all see one state of the target; the groups are shared out among them.
        planner: says what a group would do.
        changed: takes the changes of rows.
    """
    tally, units = Tally(), 0
    sample: list[SampledChange] = []
    not_taken: list[SampledReject] = []
    job.plan["_unchanged"] = f"jobs/{job.id}/unchanged.arrow"
    with ExitStack() as open_things:
        marks = open_things.enter_context(writing_work_file(job.files, job.plan["_unchanged"], MARKS))
        looks = open_things.enter_context(_looked_over(job, connections, planner, changed.rows))
        for checked, planned, found in looks:
            job.stop_if_asked()
            marked = [pa.array(planned.unchanged), pa.array(_refused_keys(checked, planned))]
            marks.write(pa.table(marked, schema=MARKS))
            refused = np.flatnonzero(planned.refused)
            refuse_rows(job, checked.group, refused, planned.errors, planner.with_its_key)
            changed.file.add(found)
            tally.add(planned.changes.tally)
            units += planner.units(checked.keys, len(checked.key_of))
            sample += planned.changes.sample[: SAMPLE_SIZE - len(sample)]
            not_taken += planned.changes.not_taken[: SAMPLE_SIZE - len(not_taken)]
    job.progress.total = units
    job.plan.update(tally.as_json())
    place_lines([*sample, *not_taken], job.plan["_files"])
    job.plan["sample"] = [change.model_dump() for change in sample]
    job.plan["not_taken"] = [cell.model_dump() for cell in not_taken]
    return tally


def _refused_keys(checked: Checked, planned: Planned) -> Mask:
    refused = np.zeros(checked.keys, dtype=bool)
    refused[checked.key_of[planned.refused]] = True
    return refused


@contextmanager
def _looked_over(
    job: JobRun, connections: list[Connection], planner: Planner, rows: PlannedRows
) -> Iterator[Iterator[Look]]:
    """All groups in their order."""
    turns = len(connections)
    checked = [
        (planner.check(group) for _, group in read_groups(job.files, job.plan["_work_file"], turn, turns))
        for turn in range(turns)
    ]
    with ExitStack() as open_things:

        def ahead(items: Iterable[T], count: int) -> Iterator[T]:
            return open_things.enter_context(prefetched(items, count))

        # the first connection stays in this thread, to which SQLite may bind it
        looks = [_looks(planner, connections[0], ahead(checked[0], 2), rows)]
        for connection, groups in zip(connections[1:], checked[1:], strict=True):
            looks.append(ahead(_looks(planner, connection, groups, rows), 1))
        yield (look for turn in zip_longest(*looks) for look in turn if look is not None)


def _looks(planner: Planner, connection: Connection, groups: Iterable[Checked], rows: PlannedRows) -> Iterator[Look]:
    for checked in groups:
        planned = planner.plan(connection, checked)
        found = rows.of(connection, planned.changes)
        # nothing of it is written, and rows that wait for their turn take memory
        changes = planned.changes
        planned.changes = Changes(tally=changes.tally, sample=changes.sample, not_taken=changes.not_taken)
        yield checked, planned, found
