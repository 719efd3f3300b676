"""What a confirmation leaves out of an update: rows by their keys, as their numbers may be others since the preview."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.changes.choosing import Choice, key_texts
from batch_jobs.strategies.tables.changes.entries import shown
from batch_jobs.strategies.tables.importing.keys import key_hashes
from batch_jobs.strategies.tables.importing.left_out import leave_out, left_out_key, note_left_out, wish_of
from batch_jobs.strategies.tables.values.converting import Checked

AT_ONCE = 10_000
Key = tuple[str | None, ...]
Hashes = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.int64]


class LeftOutRows:
    """The rows that are left out; of each 16 bytes are in memory.

    Args:
        stream: the file that ``note_left_out`` wrote, of rows by their keys.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        parts = [(np.empty(0, np.uint64), np.empty(0, np.int64)), *_hashes_and_offsets(stream)]
        hashes = np.concatenate([part for part, _ in parts])
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._offsets = hashes[order], np.concatenate([part for _, part in parts])[order]

    def apply_to(self, checked: Checked) -> None:
        """Refuse the rows of a page that are left out; of those that go in without a column say so."""
        fields = [checked.rows.schema.field(name) for name in checked.key]
        keys: list[Key] = list(zip(*(shown(one, checked.rows.column(one.name)) for one in fields), strict=True))
        hashes = _hashes(keys) if keys else self._hashes[:0]
        first, end = (np.searchsorted(self._hashes, hashes, side) for side in ("left", "right"))
        for row in np.flatnonzero(first < end).tolist():
            for offset in self._offsets[first[row] : end[row]].tolist():
                self._stream.seek(offset)
                key, column, reason = json.loads(self._stream.readline())
                if tuple(key) == keys[row]:
                    leave_out(checked, slice(row, row + 1), column, reason)


def find_left_out(job: JobRun) -> None:
    """Write down which rows of an update are left out, by their keys.

    Raises:
        JobRefused: the list of changes is gone.
    """
    wish = wish_of(job.plan)
    if wish:
        note_left_out(job, Choice(wish, ()), key_texts)


@contextmanager
def left_out_rows(job: JobRun) -> Iterator[LeftOutRows | None]:
    """What ``find_left_out`` found; ``None`` where the confirmation leaves nothing out."""
    if not wish_of(job.plan):
        yield None
        return
    with job.open_input(left_out_key(job.id)) as stream:
        yield LeftOutRows(stream)


def _hashes_and_offsets(stream: BinaryIO) -> Iterator[tuple[Hashes, Offsets]]:
    keys: list[Key] = []
    offsets: list[int] = []
    offset = 0
    for line in stream:
        keys.append(tuple(json.loads(line)[0]))
        offsets.append(offset)
        offset += len(line)
        if len(keys) == AT_ONCE:
            yield _hashes(keys), np.array(offsets, np.int64)
            keys, offsets = [], []
    if keys:
        yield _hashes(keys), np.array(offsets, np.int64)


def _hashes(keys: list[Key]) -> Hashes:
    return key_hashes([pa.chunked_array([pa.array(cells, pa.string())]) for cells in zip(*keys, strict=True)])
