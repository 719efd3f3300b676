"""The process that asks a query of SQLite, run by its path: it answers its parent until that hangs up or ends it.

It knows the standard library alone, so that it starts in hundredths of a second.
"""

import marshal
import resource
import signal
import sqlite3
import struct
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO

#: Before each message: its length.
HEAD = struct.Struct(">Q")
FAILURES = (sqlite3.Error, sqlite3.Warning, MemoryError, OverflowError)


def send(stream: BinaryIO, message: Any) -> None:
    """Write a message of plain values."""
    data = marshal.dumps(message)
    stream.write(HEAD.pack(len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one.

    Raises:
        EOFError: there comes none any more.
    """
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        raise EOFError
    (length,) = HEAD.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return marshal.loads(data)


class Asked:
    """One connection in one read transaction; each public method is a request.

    Args:
        requests: what the parent asks, and what it says to what it is asked.
        answers: where it reads.
        database: the file.
        is_uri: whether that is a URI.
        limits: of SQLite, each with its value.
    """

    def __init__(
        self, requests: BinaryIO, answers: BinaryIO, database: str, is_uri: bool, limits: Sequence[tuple[int, int]]
    ) -> None:
        self._requests, self._answers = requests, answers
        self._cursors: dict[int, sqlite3.Cursor] = {}
        self._ahead: dict[int, Any] = {}
        self._connection = sqlite3.connect(database, uri=is_uri, isolation_level=None)
        for limit, most in limits:
            self._connection.setlimit(limit, most)
        self._connection.execute("PRAGMA query_only = ON")
        self._connection.execute("BEGIN")
        self._connection.set_authorizer(self._authorize)

    def execute(self, number: int, statement: str, is_lenient: bool) -> Any:
        """Begin to read; returns the names of the columns."""
        self._connection.text_factory = _text_or_bytes if is_lenient else str
        self._cursors[number] = self._connection.execute(statement)
        return [name for name, *_ in self._cursors[number].description or ()]

    def fetch(self, number: int, count: int) -> Any:
        """The next rows, none at the end."""
        read = self._ahead.pop(number, None) or self._read(number, count)
        if isinstance(read, BaseException):
            raise read
        return read

    def read_ahead(self, number: int, count: int) -> None:
        """Read what will be asked for next, while the parent works on what it has."""
        self._ahead[number] = self._read(number, count)

    def _read(self, number: int, count: int) -> Any:
        try:
            return self._cursors[number].fetchmany(count)
        except FAILURES as error:
            return error

    def _authorize(self, *asked: Any) -> int:
        send(self._answers, ("authorize", asked[:-1]))
        return int(receive(self._requests))


def _text_or_bytes(raw: bytes) -> str | tuple[bytes]:
    """Text, or what is not UTF-8 as the one value of a tuple, which no cell is otherwise."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return (raw,)


def main(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    database, is_uri, limits, seconds = receive(requests)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))  # the parent may have been killed
    asked: Asked | None = None
    while True:
        name, *given = receive(requests)
        try:
            asked = asked or Asked(requests, answers, database, is_uri, limits)
            answer = getattr(asked, name)(*given)
        except FAILURES as error:
            send(answers, ("error", type(error).__name__, str(error)))
        else:
            send(answers, ("answer", answer))
            if name == "fetch" and answer:
                asked.read_ahead(*given)


if __name__ == "__main__":
    try:
        main(sys.stdin.buffer, sys.stdout.buffer)
    except (EOFError, BrokenPipeError):
        sys.exit(0)
