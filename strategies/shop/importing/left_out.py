"""What a confirmation leaves out of a shop's import: whole keys, such as products, by key or by a line of theirs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.errors import LeaveOutRefused, count_rows
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.leaving_out import FOUND, WISH, LeaveOut
from batch_jobs.strategies.shop.importing.grouping import run_starts
from batch_jobs.strategies.shop.importing.row_errors import Mask
from batch_jobs.strategies.shop.importing.work_file import ERRORS, KEY, LINE, read_groups

#: In the plan: that one reject would undo all.
ALL_OR_NOTHING = "_all_or_nothing"
BY_KEY, BY_LINE = "left out by its key", "left out by its line"


class LeftOut:
    """The rows that are left out; nothing where the confirmation does not say so.

    Args:
        plan: of the job.
    """

    def __init__(self, plan: Mapping[str, Any]) -> None:
        wish = LeaveOut.of(plan.get(WISH))
        self._lines = pa.array(wish.line_numbers(plan["_files"]), pa.int64()) if wish.lines else None
        self._keys = pa.array([text for (text,) in wish.key_texts(["key"])], pa.string()) if wish.keys else None

    def __bool__(self) -> bool:
        return self._lines is not None or self._keys is not None

    def by_key(self, group: pa.Table) -> Mask:
        """Which rows are named by their key."""
        return _are_in(group.column(KEY), self._keys)

    def by_line(self, group: pa.Table) -> Mask:
        """Which rows are named by their line."""
        return _are_in(group.column(LINE), self._lines)

    def marked(self, group: pa.Table) -> pa.Table:
        """A group whose rows that are left out have that as their error."""
        if not self:
            return group
        errors = group.column(ERRORS)
        for mask, reason in ((self.by_line(group), BY_LINE), (self.by_key(group), BY_KEY)):
            if mask.any():
                errors = pc.if_else(pa.array(mask), pa.scalar(json.dumps([[None, reason]])), errors)
        return group.set_column(group.column_names.index(ERRORS), ERRORS, errors)


def check_wish(wish: LeaveOut, batch_type: str, plan: Mapping[str, Any], files: FileStore) -> None:
    """Refuse what cannot be left out of the rows that wait in a work file.

    Raises:
        LeaveOutRefused: it is another part than rows, or names what is not there.
    """
    other = [part for part in wish.parts if part not in ("keys", "lines")]
    if other:
        raise LeaveOutRefused(
            f"{batch_type} offers to leave out keys and lines, and no {' or '.join(other)}; another file does that"
        )
    if plan.get(ALL_OR_NOTHING):
        raise LeaveOutRefused(f"the job is all or nothing: {batch_type} leaves nothing out then")
    left_out = LeftOut({**plan, WISH: wish.as_json()})
    lines = set(wish.line_numbers(plan["_files"]))
    keys = {text for (text,) in wish.key_texts(["key"])}
    for _, group in read_groups(files, plan["_work_file"], columns=[KEY, LINE]):
        lines.difference_update(group.column(LINE).filter(pa.array(left_out.by_line(group))).to_pylist())
        keys.difference_update(group.column(KEY).filter(pa.array(left_out.by_key(group))).to_pylist())
        if not lines and not keys:
            return
    missing: Sequence[object] = [*sorted(keys), *sorted(lines)][:5]
    if missing:
        raise LeaveOutRefused(f"leave_out names {', '.join(map(str, missing))}, and no row of the file is there")


def find_left_out(job: JobRun) -> None:
    """Count in the plan what is left out, with the rows that go with it; an earlier attempt may have done so."""
    left_out = LeftOut(job.plan)
    if not left_out or FOUND in job.plan:
        return
    rows, reasons = 0, Counter[str]()
    for _, group in read_groups(job.files, job.plan["_work_file"], columns=[KEY, LINE]):
        by_key, by_line = left_out.by_key(group), left_out.by_line(group)
        named = by_key | by_line
        if named.any():
            key_of = np.cumsum(run_starts(group)) - 1
            rows += int(np.isin(key_of, key_of[named]).sum())
            reasons.update({BY_KEY: int(by_key.sum()), BY_LINE: int((by_line & ~by_key).sum())})
    job.plan[FOUND] = {"rows": rows, "lines": rows, "columns": {}, "reasons": dict(+reasons)}
    job.describe("left-out", "Left out", f"{count_rows(rows)}, with all rows of their keys")
    job.save()


def _are_in(column: pa.ChunkedArray, values: pa.Array | None) -> Mask:
    if values is None:
        return np.zeros(len(column), dtype=np.bool_)
    found: Mask = pc.is_in(column, values).to_numpy(zero_copy_only=False)
    return found
