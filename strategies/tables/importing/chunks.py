"""The file as chunks: how many rows are written in one transaction, what became of each, and where to go on."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.tables.databases.loading import Loader, Written
from batch_jobs.strategies.tables.formats.reading import Reader
from batch_jobs.strategies.tables.importing.bisect import bisect
from batch_jobs.strategies.tables.importing.repeats import Repeats
from batch_jobs.strategies.tables.values.converting import Checked, Converter

#: In a cursor: all of the batch is in.
WHOLE = -1


@dataclass
class Chunk:
    """Rows to write together.

    ``rows`` are the good ones and ``indices`` says which of ``checked`` they are; ``payload`` is what the
    loader made of them; ``count`` has the refused rows too; ``cursor`` says where the next chunk begins; ``last`` is
    set on the last one.
    """

    checked: Checked
    indices: list[int]
    rows: pa.Table
    payload: Any
    rejects: list[Reject]
    count: int
    cursor: dict[str, Any]
    last: bool = False


class Chunks:
    """Cuts batches into chunks of at most ``size`` rows, from a cursor on."""

    def __init__(self, reader: Reader, converter: Converter, repeats: Repeats, loader: Loader, size: int) -> None:
        self._reader = reader
        self._converter = converter
        self._repeats = repeats
        self._loader = loader
        self._size = size

    def after(self, cursor: dict[str, Any] | None) -> Iterator[Chunk]:
        """The chunks after this cursor, ``None`` being the start of the file."""
        held: Chunk | None = None
        for chunk in self._cut(cursor):
            if held is not None:
                yield held
            held = chunk
        if held is not None:
            yield replace(held, last=True)

    def _cut(self, cursor: dict[str, Any] | None) -> Iterator[Chunk]:
        done = cursor["row"] if cursor else 0
        for batch in self._reader.batches(cursor["start"] if cursor else None):
            if done != WHOLE:
                checked = self._converter.check(batch)
                checked.refuse_repeats(self._repeated(checked))
                yield from self._of_batch(checked, done)
            done = 0

    def _repeated(self, checked: Checked) -> dict[int, int]:
        return self._repeats.up_to(int(checked.lines[-1])) if len(checked.lines) else {}

    def _of_batch(self, checked: Checked, done: int) -> Iterator[Chunk]:
        rows = checked.rows.num_rows
        pieces = max(1, -(-(rows - done) // self._size))
        edges = [done + (rows - done) * piece // pieces for piece in range(pieces + 1)]
        for first, end in pairwise(edges):
            yield self._chunk(checked, first, end)

    def _chunk(self, checked: Checked, first: int, end: int) -> Chunk:
        lines = checked.lines
        # rows that could not be read lie between the others; they belong to the chunk of the row before them
        from_line = int(lines[first]) if first else 0
        to_line = int(lines[end]) if end < len(lines) else None
        rejects = [
            reject
            for reject in checked.rejects
            if from_line <= reject.line and (to_line is None or reject.line < to_line)
        ]
        unread = sum(
            1 for row in checked.batch.bad_rows if from_line <= row.line and (to_line is None or row.line < to_line)
        )
        indices = np.flatnonzero(checked.good[first:end]) + first
        rows = (
            checked.rows.slice(first, end - first)
            if len(indices) == end - first
            else checked.rows.take(pa.array(indices))
        )
        cursor = {"start": checked.batch.start, "row": WHOLE if to_line is None else end}
        return Chunk(checked, indices.tolist(), rows, self._loader.encode(rows), rejects, end - first + unread, cursor)


@dataclass
class Outcome:
    """Counts of a chunk's rows, and the rows that the database refused or has already."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejects: list[Reject] = field(default_factory=list)


def write_chunk(connection: Connection, loader: Loader, chunk: Chunk, table: str) -> Outcome:
    """Write the good rows of a chunk in the connection's transaction."""
    outcome = Outcome()
    if not chunk.indices:
        return outcome

    def write(rows: pa.Table) -> Written:
        # the whole chunk was encoded beforehand, by another thread; its parts only where a row is refused
        return loader.write(connection, chunk.payload if rows is chunk.rows else loader.encode(rows))

    loader.begin(connection, chunk.last)
    parts, refused = bisect(connection, chunk.rows, write)
    for part in parts:
        written = part.outcome
        outcome.created += written.created
        outcome.updated += written.updated
        outcome.unchanged += part.rows - written.created - written.updated - len(written.known)
        known = (chunk.indices[part.start + index] for index in written.known)
        outcome.rejects += _already_there(chunk, known, table)
    outcome.rejects += [chunk.checked.refuse(chunk.indices[row.index], row.message) for row in refused]
    return outcome


def _already_there(chunk: Chunk, indices: Iterator[int], table: str) -> list[Reject]:
    return [
        chunk.checked.refuse(index, f"key {chunk.checked.key_text(index)} is already in {table}") for index in indices
    ]
