"""What a confirmation leaves out of an import: found once in the preview's changes, before the first row is written."""

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, BinaryIO

import numpy as np
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.errors import JobRefused, LeaveOutRefused, count_rows
from batch_jobs.strategies.sdk.files import JOBS, FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.leaving_out import FOUND, WISH, LeaveOut
from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, LINE, ChangedRows
from batch_jobs.strategies.tables.changes.choosing import COLUMN_LEFT_OUT, Choice, key_texts, number
from batch_jobs.strategies.tables.changes.hiding import has_hidden
from batch_jobs.strategies.tables.changes.planned import ChangesFile, planned_key
from batch_jobs.strategies.tables.changes.reading import BlockHead
from batch_jobs.strategies.tables.changes.stored import stored_values
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.importing.plan import ImportPlan
from batch_jobs.strategies.tables.values.converting import Checked

#: By what a row is known, such as its line, the column of it that is left out, ``None`` for all of it, and why.
Entry = tuple[Any, str | None, str]
#: How much a column changes, which differs from row to row.
AMOUNT = re.compile(r" (by|from) [\d,.]+( %)?$")


def left_out_key(job_id: str) -> str:
    """The key of the file of the lines that are left out."""
    return f"{JOBS}/{job_id}/left-out.jsonl"


def wish_of(plan: Mapping[str, Any]) -> LeaveOut:
    """What the confirmation of a job leaves out, by its plan."""
    return LeaveOut.of(plan.get(WISH))


def lines_left_out(plan: Mapping[str, Any]) -> int:
    """How many lines the rejects file has for no other reason than that, so that they count as no bad ones."""
    return int(plan.get(FOUND, {}).get("lines", 0))


def without_columns(plan: ImportPlan, wish: LeaveOut) -> ImportPlan:
    """The plan of an import that does not know the columns which are left out."""
    mapping = {name: column for name, column in plan.mapping.items() if column not in wish.columns}
    return plan.model_copy(update={"mapping": mapping})


def check_wish(wish: LeaveOut, job_id: str, plan: ImportPlan, files: FileStore) -> None:
    """Refuse what cannot be meant: before it is confirmed, as afterwards the job would do something else.

    Args:
        wish: what the confirmation is to leave out.
        job_id: the job that waits.
        plan: what its preview found.
        files: where the list of changes is.

    Raises:
        LeaveOutRefused: it names what is not there.
    """
    with planned_changes(job_id, files) as changes:
        check_columns(wish, list(plan.mapping.values()), plan.key)
        look_for(wish, changes, [file.key for file in plan.files])


def planned_changes(job_id: str, files: FileStore) -> ChangesFile:
    """The list of changes that a preview has found.

    Raises:
        LeaveOutRefused: it has kept none.
    """
    if not files.exists(planned_key(job_id)):
        raise LeaveOutRefused(f"the preview of {job_id} has kept no list of changes to choose from; preview it anew")
    return ChangesFile(files, job_id)


def check_columns(wish: LeaveOut, columns: Sequence[str], key: Collection[str]) -> None:
    """Refuse columns that are not written, and those that tell rows apart.

    Raises:
        LeaveOutRefused: one of them is named.
    """
    named = [*wish.columns, *(rule.column for rule in wish.rules)]
    unknown = [name for name in named if name not in columns]
    if unknown:
        raise LeaveOutRefused(
            f"leave_out names {shown(unknown)}, which is not written; what is: {shown(list(columns))}"
        )
    of_key = [name for name in named if name in key]
    if of_key:
        raise LeaveOutRefused(f"{shown(of_key)} is part of the key and cannot be left out; leave rows out, by keys")


def look_for(wish: LeaveOut, changes: ChangesFile, input_files: Sequence[str]) -> None:
    """Look in the list of changes for all keys and lines that are named, and for numbers that rules compare.

    Raises:
        LeaveOutRefused: something is not there.
    """
    _Look(wish, input_files).through(changes)


class _Look:
    """Looks in the list of changes for all that is named."""

    def __init__(self, wish: LeaveOut, files: Sequence[str]) -> None:
        self._wish = wish
        self._lines = set(wish.line_numbers(files))
        #: The places of keys that are not found yet, and by the columns of keys the places of those that are of them.
        self._keys = set(range(len(wish.keys)))
        self._fitting: dict[tuple[str, ...], dict[tuple[str | None, ...], list[int]]] = {}
        self._numbers = {rule.column for rule in wish.rules if rule.is_about_numbers}

    def through(self, changes: ChangesFile) -> None:
        """Find all of it.

        Raises:
            LeaveOutRefused: something is not there.
        """
        for head in changes.heads(None):
            if self._is_wanted(head):
                self._see(ChangedRows(head.table, head.kind, head.key, changes.rows(head)))
        if self._keys and self._fitting:
            self._refuse_misfits()
        missing = [*self._missing_keys(), *map(str, sorted(self._lines))]
        if missing or self._keys:
            what = f"leave_out names {shown(missing[:5])}" if missing else "leave_out names keys"
            raise LeaveOutRefused(f"{what}, and no change of this job is there: see `batch-jobs changes`")

    def _refuse_misfits(self) -> None:
        fitting = {place for keys in self._fitting.values() for places in keys.values() for place in places}
        misfits = [self._wish.keys[place] for place in sorted(self._keys - fitting)]
        self._wish.model_copy(update={"keys": misfits}).key_texts(next(iter(self._fitting)))

    def _missing_keys(self) -> list[str]:
        """Those that are not found, each once: a key may be of the columns of several tables."""
        texts = {place: key for keys in self._fitting.values() for key, places in keys.items() for place in places}
        return sorted({", ".join(map(str, texts[place])) for place in self._keys if place in texts})

    def _is_wanted(self, head: BlockHead) -> bool:
        if self._wish.keys and not head.key:
            raise LeaveOutRefused("leave_out names keys, and the rows of this job have none; leave lines out")
        columns = tuple(head.key)
        if columns not in self._fitting and self._wish.keys:
            self._fitting[columns] = {}
            for place, key in self._wish.fitting_keys(columns).items():
                self._fitting[columns].setdefault(key, []).append(place)
        is_compared = head.kind == "updated" and not self._numbers.isdisjoint(head.columns)
        return bool(self._keys or self._lines or is_compared)

    def _see(self, changed: ChangedRows) -> None:
        fitting = self._fitting.get(tuple(changed.key), {}) if self._keys else {}
        for key in key_texts(changed) if fitting else ():
            self._keys.difference_update(fitting.get(key, ()))
        if self._lines and LINE in changed.rows.column_names:
            self._lines.difference_update(changed.rows.column(LINE).to_pylist())
        for name in list(self._numbers) if changed.kind == "updated" else ():
            self._see_numbers(changed, name)

    def _see_numbers(self, changed: ChangedRows, name: str) -> None:
        if BEFORE + name not in changed.rows.column_names or AFTER + name not in changed.rows.column_names:
            return
        field = changed.rows.schema.field(BEFORE + name)
        if has_hidden(field):
            raise LeaveOutRefused(f"the values of {name} are not kept (CHANGES_HIDE), so that no rule compares them")
        cells = changed.rows.column(BEFORE + name)
        first = next((value for value in stored_values(field, cells.filter(pc.is_valid(cells)))), None)
        if first is not None and number(first) is None:
            raise LeaveOutRefused(f"{name} holds no numbers, such as {str(first)[:100]!r}, that could fall or rise")
        if first is not None:
            self._numbers.discard(name)


def find_left_out(job: JobRun) -> None:
    """Write down which lines of an import are left out and why, and count them in the plan.

    Raises:
        JobRefused: the list of changes is gone.
    """
    if wish_of(job.plan):
        note_left_out(job, choice_of(job), _lines)


def note_left_out(job: JobRun, choice: Choice, places: Callable[[ChangedRows], Sequence[Any] | None]) -> None:
    """Write down what is left out and why, and count it in the plan; an earlier attempt may have done so.

    Args:
        job: whose confirmation leaves something out.
        choice: says of the changes of its preview which are left out.
        places: by what each row is known when it is its turn, in an order that it comes in; ``None`` for rows that
            are known otherwise.

    Raises:
        JobRefused: the list of changes is gone.
    """
    if FOUND in job.plan and job.files.exists(left_out_key(job.id)):
        return
    if not job.files.exists(planned_key(job.id)):
        raise JobRefused("the list of changes is gone of which parts are to be left out; create the job anew")
    rows, lines, cells, reasons = 0, 0, Counter[str](), Counter[str]()
    with job.files.writing(left_out_key(job.id)) as stream, ChangesFile(job.files, job.id) as changes:
        for batch in changes.batches():
            job.stop_if_asked()
            entries: list[Entry] = []
            for changed, left_out in zip(batch, choice.batch(batch), strict=True):
                rows += len(left_out)
                reasons.update(AMOUNT.sub("", reason) for reason in left_out.values())
                entries += _entries(changed, left_out, choice, places(changed))
            lines += len({place for place, _, _ in entries})
            cells.update(column for _, column, _ in entries if column is not None)
            stream.writelines(json.dumps(entry).encode() + b"\n" for entry in sorted(entries, key=lambda one: one[0]))
    counts = {"rows": rows, "lines": lines, "columns": dict(cells), "reasons": dict(reasons.most_common())}
    job.plan[FOUND] = counts
    _describe(job, rows, cells, reasons)
    job.save()


def choice_of(job: JobRun) -> Choice:
    """What is left out of an import's changes."""
    plan = ImportPlan.model_validate(job.plan)
    is_marking = getattr(job.context, "mode", None) == "sync" and not isinstance(job.context.missing, str)
    return Choice(wish_of(job.plan), [file.key for file in plan.files], is_marking)


def _lines(changed: ChangedRows) -> list[int] | None:
    """What the input lacks has none, and is left out when it would be removed."""
    lines: list[int] | None = changed.rows.column(LINE).to_pylist() if LINE in changed.rows.column_names else None
    return lines


def _entries(
    changed: ChangedRows, left_out: Mapping[int, str], choice: Choice, places: Sequence[Any] | None
) -> Iterator[Entry]:
    if places is None:
        return
    for row, reason in left_out.items():
        yield places[row], None, reason
    for name, rows in choice.cells(changed).items():
        for row in rows.tolist():
            if row not in left_out:
                yield places[row], name, COLUMN_LEFT_OUT


def _describe(job: JobRun, rows: int, cells: Counter[str], reasons: Counter[str]) -> None:
    texts = [f"{count_rows(rows)}"] if rows or not cells else []
    texts += [f"{name} of {count_rows(count)}" for name, count in cells.most_common()]
    why = ", ".join(f"{count:,} {reason.removeprefix('left out').lstrip(':, ')}" for reason, count in reasons.items())
    job.describe("left-out", "Left out", ", ".join(texts) + (f" ({why})" if why else ""))


class LeftOut:
    """The lines that are left out, asked for in the order of the input.

    Args:
        stream: the file that ``find_left_out`` wrote, ``None`` where nothing is left out.
    """

    def __init__(self, stream: BinaryIO | None) -> None:
        self._entries = read_left_out(stream) if stream is not None else iter(())
        self._next = next(self._entries, None)

    def apply_to(self, checked: Checked) -> None:
        """Refuse the rows of a batch that are left out; of those that go in without a column say so."""
        if not len(checked.lines):
            return
        first, last = int(checked.lines[0]), int(checked.lines[-1])
        while self._next is not None and self._next[0] <= last:
            line, column, reason = self._next
            if line >= first:
                start, end = np.searchsorted(checked.lines, [line, line + 1]).tolist()
                leave_out(checked, slice(start, end), column, reason)
            self._next = next(self._entries, None)


def leave_out(checked: Checked, rows: slice, column: str | None, reason: str) -> None:
    """Refuse the rows that were made of one line, or say of a column that it is left out."""
    if not checked.good[rows].any():
        return
    if column is not None:
        line = int(checked.lines[rows.start])
        checked.rejects.append(Reject(line, column, reason, checked.input_row(rows.start)))
        return
    checked.good[rows] = False
    checked.refuse(rows.start, reason)


def read_left_out(stream: BinaryIO) -> Iterator[Entry]:
    """What ``note_left_out`` wrote."""
    with closing(io.TextIOWrapper(stream, encoding="utf-8")) as text:
        for entry in text:
            place, column, reason = json.loads(entry)
            yield place, column, reason
