"""All keys of a file in a temporary table of the target, which compares them in its own way."""

from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import BinaryIO, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Engine

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.tables.databases.loading import KEYS, ROW, Destination, Loader
from batch_jobs.strategies.tables.databases.statements import key_cell
from batch_jobs.strategies.tables.importing.bisect import bisect
from batch_jobs.strategies.tables.importing.repeats import Repeats, read_repeats, write_repeat
from batch_jobs.strategies.tables.values.converting import Checked

HELD = 1 << 20  # bytes of repeats that are held in memory


class StagedKeys:
    """The keys of the rows that were added, on a connection of their own.

    Args:
        engine: the target.
        destination: whose key it is.
        loader: how rows get in.
        keeps_rejects: whether keys of refused rows are wanted too, where they can be read.
    """

    def __init__(self, engine: Engine, destination: Destination, loader: Loader, keeps_rejects: bool = False) -> None:
        self.connection = engine.connect()
        self.readable = 0
        self.unreadable = 0
        #: Where the first row was whose key cannot be read.
        self.first_unreadable: int | None = None
        self._database = database_of(engine)
        self._destination = destination
        self._loader = loader
        self._keeps_rejects = keeps_rejects
        self._repeats = Repeats(iter(()))
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with self.connection.begin():
            self._loader.make_keys(self.connection)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        self.connection.invalidate()  # closes it, and its temporary tables are gone
        self.connection.close()

    def add(self, checked: Checked) -> None:
        """Take the keys of a batch."""
        columns = checked.key_columns()
        readable = np.ones(checked.rows.num_rows, dtype=np.bool_)
        for column in columns:
            readable &= pc.is_valid(column).to_numpy()
        wanted = np.flatnonzero(readable if self._keeps_rejects else checked.good & readable)
        lines = pa.array(checked.lines, pa.int64(), mask=~checked.good)
        keys = pa.table([*columns, lines], [*self._destination.key, ROW]).take(pa.array(wanted))
        with self.connection.begin():
            _, refused = bisect(self.connection, keys, lambda part: self._loader.add_keys(self.connection, part))
        unreadable = [int(line) for line in checked.lines[~readable]]
        unreadable += [int(checked.lines[wanted[row.index]]) for row in refused]
        self.readable += len(wanted) - len(refused)
        self._note_unreadable(unreadable + [row.line for row in checked.batch.bad_rows])

    def settle(self) -> bool:
        """Find repeated keys; nothing is added any more. Returns whether there are any."""
        file = cast(BinaryIO, self._open.enter_context(SpooledTemporaryFile(HELD)))  # noqa: SIM115
        with self.connection.begin():
            self._loader.settle_keys(self.connection)
            for line, first in self._loader.fetch(self.connection, self._repeated()):
                write_repeat(file, line, first)
        file.seek(0)
        self._repeats = Repeats(read_repeats(file))
        return bool(self._repeats)

    def repeats_in(self, checked: Checked) -> dict[int, int]:
        """The repeated rows of a batch, in the order of the file: line -> line of the first one."""
        return self._repeats.up_to(int(checked.lines[-1])) if len(checked.lines) else {}

    def _repeated(self) -> str:
        keys = ", ".join(key_cell(self._database, self._destination, name, "stage") for name in self._destination.key)
        first = f"min({ROW}) OVER (PARTITION BY {keys})"
        good = f"SELECT {ROW} AS line, {first} AS first FROM {KEYS} AS stage WHERE {ROW} IS NOT NULL"
        return f"SELECT line, first FROM ({good}) AS lines WHERE line > first ORDER BY line"

    def _note_unreadable(self, lines: list[int]) -> None:
        self.unreadable += len(lines)
        if lines and self.first_unreadable is None:
            self.first_unreadable = min(lines)
