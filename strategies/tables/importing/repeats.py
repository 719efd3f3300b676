"""Rows whose key an earlier row of the same file has; kept as a file, because there may be many."""

import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import dropwhile
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from batch_jobs.strategies.tables.importing.keys import Hashes, KeyHashes, key_hashes
from batch_jobs.strategies.tables.values.converting import Checked


class FirstLines:
    """Remembers on which line each key was first seen, on disk."""

    def __init__(self) -> None:
        self._seen = sqlite3.connect("", check_same_thread=False)
        self._seen.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seen.close()

    def earlier(self, key: list[str], line: int) -> int | None:
        """The line on which this key is already; ``None`` and remembered when it is new."""
        text = json.dumps(key)
        if self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (text, line)).rowcount:
            return None
        return int(self._seen.execute("SELECT line FROM seen WHERE key = ?", (text,)).fetchone()[0])


def write_repeat(stream: BinaryIO, line: int, first: int) -> None:
    """Add a repeated row: its line and that of the first row with its key; in the order of the file."""
    stream.write(b"%d %d\n" % (line, first))


class Repeats:
    """The repeated rows of a file, asked for in the order of the file.

    Args:
        entries: their lines and those of the first rows with their keys, in that order.
        line: before which nothing is asked for.
    """

    def __init__(self, entries: Iterator[tuple[int, int]], line: int = 0) -> None:
        self._entries = dropwhile(lambda entry: entry[0] < line, entries)
        self._next = next(self._entries, None)

    def __bool__(self) -> bool:
        return self._next is not None

    def up_to(self, line: int) -> dict[int, int]:
        """The repeated rows not yet asked for up to this line: line -> line of the first one."""
        found: dict[int, int] = {}
        while self._next is not None and self._next[0] <= line:
            found[self._next[0]] = self._next[1]
            self._next = next(self._entries, None)
        return found


def read_repeats(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    """What ``write_repeat`` wrote."""
    with closing(io.TextIOWrapper(stream, encoding="ascii")) as text:
        for entry in text:
            line, first = entry.split()
            yield int(line), int(first)


class HashedKeys:
    """The keys of the rows that were added, told apart by their texts."""

    def __init__(self) -> None:
        self._hashes = KeyHashes()
        self._repeated: Hashes = np.empty(0, dtype=np.uint64)
        self._first_lines = FirstLines()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._first_lines.__exit__(kind, error, trace)
        self._hashes.__exit__(kind, error, trace)

    def add(self, checked: Checked) -> None:
        """Take the keys of a batch's good rows."""
        self._hashes.add(_hashes(checked)[checked.good])

    def settle(self) -> bool:
        """Find repeated keys; nothing is added any more. Returns whether there may be any."""
        self._repeated = self._hashes.repeated()
        return len(self._repeated) > 0

    def repeats_in(self, checked: Checked) -> dict[int, int]:
        """The repeated rows of a batch, in the order of the file: line -> line of the first one."""
        hashes = _hashes(checked)
        places = np.minimum(np.searchsorted(self._repeated, hashes), len(self._repeated) - 1)
        found: dict[int, int] = {}
        for index in np.flatnonzero((self._repeated[places] == hashes) & checked.good).tolist():
            line = int(checked.lines[index])
            first = self._first_lines.earlier(checked.key_at(index), line)
            if first is not None:
                found[line] = first
        return found


def _hashes(checked: Checked) -> Hashes:
    return key_hashes(checked.key_columns())
