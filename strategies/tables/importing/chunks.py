"""The file as chunks: how many rows are written in one transaction, what became of each, and where to go on."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.tables.changes.blocks import ChangedRows
from batch_jobs.strategies.tables.changes.recording import changed_rows, record
from batch_jobs.strategies.tables.databases.loading import Destination, Loader, Written, refers_to_itself
from batch_jobs.strategies.tables.databases.savepoint import savepoint
from batch_jobs.strategies.tables.formats.reading import Reader
from batch_jobs.strategies.tables.importing.absence import Indices, by_absence
from batch_jobs.strategies.tables.importing.bisect import bisect, bisect_in_any_order
from batch_jobs.strategies.tables.importing.left_out import LeftOut
from batch_jobs.strategies.tables.importing.partitions import Part
from batch_jobs.strategies.tables.importing.refusing import Words
from batch_jobs.strategies.tables.importing.repeats import Repeats
from batch_jobs.strategies.tables.values.converting import Checked, Converter

#: In a cursor: all of the batch is in.
WHOLE = -1


@dataclass(frozen=True)
class Piece:
    """Rows with the same columns: which of the batch they are, and what the loader made of them."""

    indices: Indices
    rows: pa.Table
    payload: Any


@dataclass
class Chunk:
    """Rows to write together.

    ``pieces`` are the good ones; ``count`` has the refused rows too; ``cursor`` says where the next chunk begins;
    ``last`` is set on the last one.
    """

    checked: Checked
    pieces: list[Piece]
    rejects: list[Reject]
    count: int
    cursor: dict[str, Any]
    last: bool = False


@dataclass(frozen=True)
class Chunking:
    """What rows go through on their way: how they are read, converted and written, and where."""

    reader: Reader
    converter: Converter
    loader: Loader
    destination: Destination


class Chunks:
    """Cuts batches of a part of the input into chunks of at most ``size`` rows, from a cursor on."""

    def __init__(self, chunking: Chunking, repeats: Repeats, left_out: LeftOut, size: int, part: Part) -> None:
        self._reader = chunking.reader
        self._converter = chunking.converter
        self._loader = chunking.loader
        self._key = chunking.destination.key
        self._repeats = repeats
        self._left_out = left_out
        self._size = size
        self._part = part

    def after(self, cursor: dict[str, Any] | None) -> Iterator[Chunk]:
        """The chunks after this cursor, ``None`` being the start of the part."""
        held: Chunk | None = None
        for chunk in self._cut(cursor):
            if held is not None:
                yield held
            held = chunk
        if held is not None:
            yield replace(held, last=True)

    def _cut(self, cursor: dict[str, Any] | None) -> Iterator[Chunk]:
        done = cursor["row"] if cursor else 0
        for batch in self._reader.part(cursor["start"] if cursor else self._part.start, self._part.until):
            if done != WHOLE:
                checked = self._converter.check(batch)
                checked.refuse_repeats(self._repeated(checked))
                self._left_out.apply_to(checked)
                yield from self._of_batch(checked, done)
            done = 0

    def _repeated(self, checked: Checked) -> dict[int, int]:
        return self._repeats.up_to(int(checked.lines[-1])) if len(checked.lines) else {}

    def _of_batch(self, checked: Checked, done: int) -> Iterator[Chunk]:
        rows = checked.rows.num_rows
        pieces = max(1, -(-(rows - done) // self._size))
        edges = [done + (rows - done) * piece // pieces for piece in range(pieces + 1)]
        if checked.batch.origin is not None:  # rows that one row of the input was made into stay together
            starts = {int(np.searchsorted(checked.lines, checked.lines[edge])) for edge in edges[1:-1]}
            edges = [done, *sorted(edge for edge in starts if edge > done), rows]
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
        read = checked.input_lines
        begin = np.searchsorted(read, from_line) if first else 0
        count = (len(read) if to_line is None else int(np.searchsorted(read, to_line))) - int(begin)
        unread = sum(
            1 for row in checked.batch.bad_rows if from_line <= row.line and (to_line is None or row.line < to_line)
        )
        good = np.flatnonzero(checked.good[first:end]) + first
        pieces = [
            self._piece(indices, rows)
            for indices, rows in by_absence(checked.rows, good, checked.absent)
            if len(indices)
        ]
        cursor = {"start": checked.batch.start, "row": WHOLE if to_line is None else end}
        return Chunk(checked, pieces, rejects, count + unread, cursor)

    def _piece(self, indices: Indices, rows: pa.Table) -> Piece:
        indices, rows = in_key_order(indices, rows, self._key)
        return Piece(indices, rows, self._loader.encode(rows))


def in_key_order(indices: Indices, rows: pa.Table, key: list[str]) -> tuple[Indices, pa.Table]:
    """Rows and their indices in the order of their key, so that imports at the same time do not lock each other out."""
    names = [name for name in key if name in rows.column_names]
    if not names or any(pa.types.is_nested(rows.schema.field(name).type) for name in names):
        return indices, rows
    order = pc.sort_indices(rows.select(names), [(name, "ascending") for name in names]).to_numpy()
    if (order[1:] > order[:-1]).all():
        return indices, rows
    return indices[order], rows.take(pa.array(order))


@dataclass
class Outcome:
    """Counts of a chunk's rows, and the rows that the database refused, or has or lacks the key of."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejects: list[Reject] = field(default_factory=list)
    changes: list[ChangedRows] = field(default_factory=list)


def write_chunk(connection: Connection, loader: Loader, chunk: Chunk, destination: Destination) -> Outcome:
    """Write the good rows of a chunk in the connection's transaction."""
    if chunk.pieces:
        loader.begin(connection, chunk.last)
    write = _write_pieces if chunk.checked.batch.origin is None else _write_whole_lines
    outcome = write(connection, loader, chunk, destination)
    record(connection, outcome.changes)
    return outcome


class _SiblingsIn(Exception):
    """Of an input row that was made into several, some are refused and others went in."""


def _write_whole_lines(connection: Connection, loader: Loader, chunk: Chunk, destination: Destination) -> Outcome:
    """Write again without the siblings of rows that are refused, until all or none of an input row is in."""
    checked, rejects = chunk.checked, list[Reject]()
    while True:
        try:
            with savepoint(connection):
                outcome = _write_pieces(connection, loader, chunk, destination)
                siblings = checked.good & np.isin(checked.lines, [reject.line for reject in outcome.rejects])
                if any(siblings[piece.indices].any() for piece in chunk.pieces):
                    raise _SiblingsIn
            outcome.rejects += rejects
            return outcome
        except _SiblingsIn:
            checked.good[siblings] = False
            rejects += outcome.rejects
            chunk = replace(chunk, pieces=[_good(piece, checked, loader) for piece in chunk.pieces])


def _good(piece: Piece, checked: Checked, loader: Loader) -> Piece:
    """Those rows of a piece that are good yet."""
    good = checked.good[piece.indices]
    rows = piece.rows.filter(pa.array(good))
    return Piece(piece.indices[good], rows, loader.encode(rows))


def _write_pieces(connection: Connection, loader: Loader, chunk: Chunk, destination: Destination) -> Outcome:
    outcome = Outcome()
    for piece in chunk.pieces:
        words = Words(chunk.checked, destination.only(piece.rows.column_names))
        if words.cannot_insert:
            outcome.rejects += [words.refuse(int(index), words.lacking) for index in piece.indices]
        else:
            _write_piece(connection, loader, piece, words, outcome)
    return outcome


def _write_piece(connection: Connection, loader: Loader, piece: Piece, words: Words, outcome: Outcome) -> None:
    def write(rows: pa.Table) -> Written:
        # the whole piece was encoded beforehand, by another thread; its parts only where a row is refused
        return loader.write(connection, piece.payload if rows is piece.rows else loader.encode(rows))

    bisecting = bisect_in_any_order if refers_to_itself(words.destination.table) else bisect
    parts, refused = bisecting(connection, piece.rows, write)
    for part in parts:
        written = part.outcome
        outcome.created += written.created
        outcome.updated += written.updated
        there = part.rows - len(written.known) - len(written.unknown)
        outcome.unchanged += there - written.created - written.updated
        known = (int(piece.indices[part.start + index]) for index in written.known)
        outcome.rejects += [words.refuse(index, words.known(index)) for index in known]
        unknown = (int(piece.indices[part.start + index]) for index in written.unknown)
        outcome.rejects += [words.refuse(index, words.unknown(index)) for index in unknown]
        rows, lines = (
            piece.rows.slice(part.start, part.rows),
            words.checked.lines[piece.indices[part.start :][: part.rows]],
        )
        outcome.changes += [changed_rows(words.destination, rows, lines, change) for change in written.changes]
        loader.note_numbers(connection, rows)
    outcome.rejects += [words.refuse(int(piece.indices[row.index]), row.message) for row in refused]
