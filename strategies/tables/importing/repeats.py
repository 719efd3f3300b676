"""Rows whose key an earlier row of the same file has; kept as a file, because there may be many."""

import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from types import TracebackType
from typing import BinaryIO, Self


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
    """The repeated rows of a file, asked for in the order of the file."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._entries: Iterator[tuple[int, int]] = _entries(stream) if stream else iter(())
        self._next = next(self._entries, None)

    def up_to(self, line: int) -> dict[int, int]:
        """The repeated rows not yet asked for up to this line: line -> line of the first one."""
        found: dict[int, int] = {}
        while self._next is not None and self._next[0] <= line:
            found[self._next[0]] = self._next[1]
            self._next = next(self._entries, None)
        return found


def _entries(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    with closing(io.TextIOWrapper(stream, encoding="ascii")) as text:
        for entry in text:
            line, first = entry.split()
            yield int(line), int(first)
