"""What a confirmation leaves out of an undo: rows by their places in the log, which stays as it is."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.errors import LeaveOutRefused
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.leaving_out import LeaveOut
from batch_jobs.strategies.sdk.lines import LINES_OF_A_FILE
from batch_jobs.strategies.tables.changes.blocks import GROUP, LINE, ChangedRows
from batch_jobs.strategies.tables.changes.choosing import Choice
from batch_jobs.strategies.tables.importing.left_out import (
    Entry,
    check_columns,
    left_out_key,
    look_for,
    note_left_out,
    planned_changes,
    read_left_out,
    wish_of,
)
from batch_jobs.strategies.tables.undoing.blocks import INDEX, Block, Fate
from batch_jobs.strategies.tables.undoing.log import Logged, LoggedChunk

#: Columns of the list of changes: where a row is in the log, in the order in which it is taken back.
PLACE = ("partition", "chunk", "number", INDEX)


def planned_rows(chunk: LoggedChunk, block: Block, fate: Fate) -> list[ChangedRows]:
    """What putting rows of a block back will change, each with its place in the log.

    Args:
        chunk: of the log.
        block: of the chunk.
        fate: what becomes of its rows; its log has those that are overwritten.
    """
    back = sorted(fate.back if block.kind == "created" else set(fate.back) - set(fate.forced))
    inverse = block.inverse(back)
    found = [replace(inverse, rows=inverse.rows.append_column(INDEX, pa.array(back, pa.int64())))]
    forced = pa.array(list(fate.forced), pa.int64())
    found += [replace(one, rows=one.rows.filter(pc.is_in(one.rows.column(INDEX), forced))) for one in fate.log]
    place = (chunk.partition, -chunk.chunk, -block.logged.number)
    return [replace(changed, rows=_placed(changed.rows, place)) for changed in found]


def _placed(rows: pa.Table, place: Sequence[int]) -> pa.Table:
    """Rows with their place, and with lines as rejects have them: without the number of the file."""
    if LINE in rows.column_names:
        lines = rows.column(LINE)
        number = pc.subtract(lines, pc.multiply(pc.divide(lines, LINES_OF_A_FILE), LINES_OF_A_FILE))
        rows = rows.set_column(rows.column_names.index(LINE), LINE, number)
    for name, part in zip(PLACE, place, strict=False):
        rows = rows.append_column(name, pa.repeat(pa.scalar(part, pa.int64()), rows.num_rows))
    return rows


def check_wish(wish: LeaveOut, job_id: str, files: FileStore) -> None:
    """Refuse what cannot be meant, before it is confirmed.

    Raises:
        LeaveOutRefused: it names what is not there, or columns of rows that go back together.
    """
    with planned_changes(job_id, files) as changes:
        heads = list(changes.heads(None))
        columns = dict.fromkeys(name for head in heads for name in head.columns)
        key = dict.fromkeys(name for head in heads for name in head.key if name not in columns)
        check_columns(wish, [*columns, *key], key)
        if wish.columns and any(GROUP in changes.rows(head).column_names for head in heads):
            raise LeaveOutRefused(
                "rows of this job go back together, such as a product with its variants, or not at all: "
                "leave them out by keys or lines, not columns"
            )
        look_for(wish, changes, ())


def find_left_out(job: JobRun) -> None:
    """Write down which rows of the log are left out.

    Raises:
        JobRefused: the list of changes is gone.
    """
    wish = wish_of(job.plan)
    if wish:
        note_left_out(job, Choice(wish, ()), _places)


def _places(changed: ChangedRows) -> list[tuple[int, ...]]:
    return list(zip(*(changed.rows.column(name).to_pylist() for name in PLACE), strict=True))


@dataclass
class LeftOutOfChunk:
    """What is left out of one chunk, by the numbers of its blocks and the indices of their rows."""

    _rows: dict[int, dict[int, str]] = field(default_factory=dict)
    _cells: dict[int, dict[int, list[str]]] = field(default_factory=dict)

    def add(self, number: int, index: int, column: str | None, reason: str) -> None:
        """Take a row, or a column of one."""
        if column is None:
            self._rows.setdefault(number, {})[index] = reason
        else:
            self._cells.setdefault(number, {}).setdefault(index, []).append(column)

    def rows(self, logged: Logged) -> Mapping[int, str]:
        """The rows of a block that stay, and why."""
        return self._rows.get(logged.number, {})

    def cells(self, logged: Logged) -> Mapping[int, Sequence[str]]:
        """The columns of rows of a block that stay as they are."""
        return self._cells.get(logged.number, {})


class LeftOut:
    """What is left out of an undo, asked for chunk by chunk in the order in which they are taken back.

    Args:
        entries: what ``find_left_out`` wrote.
    """

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self._next = next(entries, None)

    def of(self, chunk: LoggedChunk) -> LeftOutOfChunk:
        """What is left out of this one; those before it are done."""
        found, place = LeftOutOfChunk(), [chunk.partition, -chunk.chunk]
        while self._next is not None and self._next[0][:2] <= place:
            at, column, reason = self._next
            if at[:2] == place:
                found.add(-at[2], at[3], column, reason)
            self._next = next(self._entries, None)
        return found


@contextmanager
def left_out_of(job: JobRun) -> Iterator[LeftOut]:
    """What ``find_left_out`` found."""
    if not wish_of(job.plan):
        yield LeftOut(iter(()))
        return
    with job.open_input(left_out_key(job.id)) as stream:
        yield LeftOut(read_left_out(stream))
