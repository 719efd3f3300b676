"""Asking a query in a process of its own, which can be ended whatever it does.

SQLite looks for an interruption between the steps of a statement: one call of a function, and the making of a
statement out of its text, are one step each, however long they take.
"""

import builtins
import itertools
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from sqlalchemy import Engine

from batch_jobs.strategies.tables.databases.sqlite import query_process
from batch_jobs.strategies.tables.databases.sqlite.query_process import receive, send

#: Rows at a time where somebody wants all.
FETCHED = 1_000
#: Beyond the time that a query has.
MORE_SECONDS = 30

Authorize = Callable[[int, str | None, str | None, str | None], int]


class QueryProcess:
    """Stands in for the driver's connection, as far as reading goes.

    Args:
        engine: of the file.
        authorize: SQLite's authorizer, but for the trigger or view.
        limits: SQLite's limits.
        seconds: how long it may compute, should nobody end it.
    """

    def __init__(self, engine: Engine, authorize: Authorize, limits: Mapping[int, int], seconds: float) -> None:
        self.text_factory: Any = str
        self._authorize = authorize
        self._numbers = itertools.count()
        self._is_interrupted = False
        command = [sys.executable, "-I", "-S", query_process.__file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._requests, self._answers = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
        is_uri = str(engine.url.query.get("uri", "")).lower() == "true"
        self._send((engine.url.database or "", is_uri, list(limits.items()), int(seconds) + MORE_SECONDS))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        with suppress(BrokenPipeError), self._process:  # it closes what could not be sent any more
            pass

    def execute(self, statement: str) -> "Rows":
        """Begin to read."""
        number = next(self._numbers)
        return Rows(self, number, self.ask("execute", number, statement, self.text_factory is not str))

    def interrupt(self) -> None:
        """End it; this may come from another thread."""
        self._is_interrupted = True
        self._process.kill()

    def ask(self, *request: Any) -> Any:
        """The answer to a request.

        Raises:
            sqlite3.Error: as SQLite says.
            MemoryError: it has no more memory.
        """
        self._send(request)
        while True:
            kind, *said = self._receive()
            if kind == "answer":
                return said[0]
            if kind == "error":
                name, message = said
                raise (getattr(sqlite3, name, None) or getattr(builtins, name))(message)
            self._send(self._authorize(*said[0]))

    def _send(self, message: Any) -> None:
        try:
            send(self._requests, message)
        except BrokenPipeError:
            raise self._ended() from None

    def _receive(self) -> Any:
        try:
            return receive(self._answers)
        except EOFError:
            raise self._ended() from None

    def _ended(self) -> Exception:
        if self._is_interrupted:
            return sqlite3.OperationalError("interrupted")
        return MemoryError("the process that asked the query ended by itself")


class Rows:
    """What a statement reads, as the driver's cursor has it."""

    def __init__(self, process: QueryProcess, number: int, names: list[str]) -> None:
        self.description = [(name, None, None, None, None, None, None) for name in names]
        self._process, self._number = process, number
        self._factory = process.text_factory

    def fetchmany(self, count: int) -> list[tuple[Any, ...]]:
        """The next rows."""
        rows: list[tuple[Any, ...]] = self._process.ask("fetch", self._number, count)
        if self._factory is str:
            return rows
        return [tuple(self._factory(*cell) if isinstance(cell, tuple) else cell for cell in row) for row in rows]

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return next(iter(self.fetchmany(1)), None)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while rows := self.fetchmany(FETCHED):
            yield from rows
