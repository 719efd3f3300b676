"""The refused rows of a job with all that is known of them, in the order of the input, to be read in pages.

The file is JSON lines, one a row; behind them is where each row begins, for all rows and for those with a bad cell in
each column, and at the end where that is. A page so is found by a few reads, however many rows there are.
"""

import json
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, BinaryIO

from batch_jobs.strategies.sdk.files import JOBS, FileStore

#: Between a column of the input and what is made of it, in the name of the latter.
ARROW = " → "
#: The end of the file: how long the table of what is where is, and what kind of file this is.
MARK = b"REJECTS1"
LENGTH = 8
#: A place of a row takes so many bytes.
PLACE = 8
#: So many places are held in memory before they are put on disk.
HELD_PLACES = 10_000


def rows_key(job_id: str) -> str:
    """The key of the file of a job's refused rows."""
    return f"{JOBS}/{job_id}/rejects.rows"


@dataclass(frozen=True)
class RefusedRow:
    """An input row that is refused.

    ``number`` is its line in the series of all files, see ``lines``; ``reasons`` are pairs of the bad cell's column,
    ``None`` for the row as a whole, and why; ``group`` is what rows have in common that go in together or not at all.
    """

    number: int
    cells: dict[str, str | None]
    reasons: list[tuple[str | None, str]] = field(default_factory=list)
    group: str | None = None

    def bad_cell(self, column: str | None) -> str | None:
        """The row's own cell that a reason is about, ``None`` where it is about none: what is made of a cell is that.

        Args:
            column: of the reason.
        """
        source = column.partition(ARROW)[0] if column is not None else None
        return next((name for name in (column, source) if name in self.cells), None)

    def as_line(self) -> bytes:
        """The row as the file has it."""
        known = {"line": self.number, "cells": self.cells, "why": self.reasons}
        return json.dumps(known if self.group is None else {**known, "group": self.group}).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "RefusedRow":
        """A row of the file."""
        known: dict[str, Any] = json.loads(line)
        reasons = [(column, message) for column, message in known["why"]]
        return cls(known["line"], known["cells"], reasons, known.get("group"))


class RefusedRowsWriter:
    """Writes the file.

    Args:
        stream: the file.
        places: a database on disk, which holds places meanwhile, so that memory stays flat.
    """

    def __init__(self, stream: BinaryIO, places: sqlite3.Connection) -> None:
        self._stream, self._places = stream, places
        self._columns: dict[str | None, int] = {None: 0}
        self._held: dict[int, array[int]] = {}
        self._held_places = 0
        self._names: dict[str, None] = {}
        self._at = 0
        places.execute("CREATE TABLE place (column_number INTEGER, at BLOB)")

    def write(self, row: RefusedRow) -> None:
        """Add a row."""
        if not row.cells.keys() <= self._names.keys():
            self._names.update(dict.fromkeys(row.cells))
        for column in dict.fromkeys((None, *(row.bad_cell(column) for column, _ in row.reasons))):
            number = self._columns.setdefault(column, len(self._columns))
            self._held.setdefault(number, array("Q")).append(self._at)
            self._held_places += 1
        if self._held_places >= HELD_PLACES:
            self._store_places()
        line = row.as_line()
        self._stream.write(line)
        self._at += len(line)

    def finish(self, files: Sequence[str]) -> None:
        """Write what is where.

        Args:
            files: the input's, in their order, where there are several.
        """
        self._store_places()
        names = list(self._columns)
        found = self._places.execute("SELECT column_number, at FROM place ORDER BY column_number, rowid")
        parts = []
        for number, blocks in groupby(found, key=itemgetter(0)):
            begin = self._at
            for _, block in blocks:
                self._stream.write(block)
                self._at += len(block)
            parts.append([names[number], begin, (self._at - begin) // PLACE])
        table = json.dumps({"files": list(files), "names": list(self._names), "parts": parts}).encode()
        self._stream.write(table + len(table).to_bytes(LENGTH, "little") + MARK)

    def _store_places(self) -> None:
        blocks = ((number, places.tobytes()) for number, places in self._held.items())
        self._places.executemany("INSERT INTO place VALUES (?, ?)", blocks)
        self._held.clear()
        self._held_places = 0


class RefusedRows:
    """The refused rows of a file, in pages.

    Args:
        stream: the file, which can be read here and there.
        size: its bytes.
    """

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        end = LENGTH + len(MARK)
        stream.seek(size - end)
        length = int.from_bytes(stream.read(end)[:LENGTH], "little")
        stream.seek(size - end - length)
        table = json.loads(stream.read(length))
        #: The input's files in their order, where there are several.
        self.files: list[str] = table["files"]
        #: The columns of all rows.
        self.names: list[str] = table["names"]
        self._parts: dict[str | None, tuple[int, int]] = {name: (at, count) for name, at, count in table["parts"]}

    @property
    def total(self) -> int:
        """How many rows there are."""
        return self._parts.get(None, (0, 0))[1]

    @property
    def columns(self) -> dict[str, int]:
        """How many rows have a bad cell in each column."""
        return {name: count for name, (_, count) in self._parts.items() if name is not None}

    def page(self, first: int, limit: int, column: str | None = None) -> list[RefusedRow]:
        """The rows from this one on, counted from 0 among all, or those with a bad cell in a column."""
        at, count = self._parts.get(column, (0, 0))
        wanted = max(0, min(limit, count - first))
        if not wanted:
            return []
        self._stream.seek(at + first * PLACE)
        places = array("Q", self._stream.read(wanted * PLACE))
        rows = []
        for place in places:
            if self._stream.tell() != place:
                self._stream.seek(place)
            rows.append(RefusedRow.read(self._stream.readline()))
        return rows

    def find(self, number: int) -> RefusedRow | None:
        """The row on a line, ``None`` where none is refused there."""
        low, high = 0, self.total
        while low < high:
            middle = (low + high) // 2
            (row,) = self.page(middle, 1)
            if row.number == number:
                return row
            low, high = (middle + 1, high) if row.number < number else (low, middle)
        return None

    def all(self) -> Iterator[RefusedRow]:
        """All rows, from the first to the last."""
        self._stream.seek(0)
        for line in islice(self._stream, self.total):
            yield RefusedRow.read(line)


def parts_of(files: FileStore, job_id: str) -> list[str]:
    """The keys of what a job has refused where that is not put together yet: of its preview, or else of its chunks."""
    folder = f"{JOBS}/{job_id}/rejects"
    found = [file.key for file in files.list(folder)]
    return [key for key in found if key.startswith(f"{folder}/before/")] or found


def read_part(files: FileStore, key: str) -> list[RefusedRow]:
    """The rows of one part, by line; none where it is gone meanwhile."""
    rows: dict[int, RefusedRow] = {}
    with suppress(FileNotFoundError), files.open(key) as stream:
        for text in stream:
            known = json.loads(text)
            row = rows.setdefault(known["line"], RefusedRow(known["line"], known["row"], [], known.get("group")))
            row.reasons.append((known["column"], known["message"]))
    return [rows[number] for number in sorted(rows)]
