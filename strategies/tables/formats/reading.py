"""Reading a file as batches of text cells, whatever its format, with as few passes over its bytes as can be."""

import io
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from types import MappingProxyType
from typing import IO, Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch_jobs.strategies.sdk.lines import named
from batch_jobs.strategies.sdk.rejects import SURPLUS_COLUMN, Reject
from batch_jobs.strategies.tables.formats.marks import Mark
from batch_jobs.strategies.tables.formats.options import ReadOptions
from batch_jobs.strategies.tables.formats.packing import (
    Borrowed,
    bare_name,
    chosen_member,
    copy_within_bounds,
    is_packed,
    is_zip,
    split_member,
    unpacked,
)

__all__ = [
    "SURPLUS_COLUMN",
    "BadCell",
    "BadRow",
    "Batch",
    "Input",
    "NotAsItBegan",
    "Origin",
    "ReadOptions",
    "Reader",
    "Source",
    "unpacked",
]

#: Opens the raw input anew, in bytes.
Source = Callable[[], BinaryIO]

BLOCK = 1 << 20
#: Bytes from the start of the input that are kept, so that looking at a sample costs no reading.
HEAD = 1 << 20
#: A file that is read here and there, not from its start to its end, is kept in memory up to this size.
HELD = 1 << 24


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be split into the header's cells.

    ``line`` is the physical line it starts on, from 1; ``row`` has the cells there are by column, and what is beyond
    the last column under ``reject_surplus``.
    """

    line: int
    message: str
    row: dict[str, str | None]


@dataclass(frozen=True)
class BadCell:
    """A cell that has no value to keep: by the row's index in its batch, the column, and what is wrong with it."""

    index: int
    column: str
    message: str


@dataclass(frozen=True)
class Origin:
    """What the rows of a batch were made of, where a strategy has made them of the input's.

    ``table`` has the input's rows as they were read, ``lines`` their lines; ``rows`` says for each row of the batch
    which of them it was made of. ``refused`` are input rows that are refused by then, and ``left_out`` is how many
    others no row was made of.
    """

    table: pa.Table
    lines: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    refused: list[Reject] = field(default_factory=list)
    left_out: int = 0


@dataclass(frozen=True)
class Batch:
    """Some rows of the file, in its order.

    ``table`` has text columns named by the header, null where a cell is absent; ``lines`` gives each row's physical
    line (a sheet's or a Parquet file's row number); ``start`` is a JSON value to read this batch again from.
    Of formats with types of their own, ``texts`` marks by column the cells that are text there, whatever they look
    like, and ``absent`` those that a row does not have at all (a key that an object lacks); a column without such is
    left out.
    """

    table: pa.Table
    lines: pa.Array
    bad_rows: list[BadRow]
    start: dict[str, Any]
    bad_cells: list[BadCell] = field(default_factory=list)
    texts: Mapping[str, pa.BooleanArray] = field(default_factory=dict)
    absent: Mapping[str, pa.BooleanArray] = field(default_factory=dict)
    #: The names of all files where there are several, whose lines are then numbered on from one to the next.
    files: tuple[str, ...] = ()
    #: Columns of ``table`` that have values of their own types instead of text, and further columns' values beside
    #: their text: both as they are, whatever the options say of cells.
    made: frozenset[str] = frozenset()
    values: Mapping[str, pa.Array] = field(default_factory=dict)
    origin: Origin | None = None

    def place(self, line: int) -> str:
        """A line for people, with its file where there are several."""
        return named(line, self.files)


class NotAsItBegan(Exception):
    """A later part of the input is not what its beginning led to expect; ``Reader.settle``, and read again."""


class Reader(ABC):
    """A file as batches; reading twice from one start gives the same batches, once the reader is settled.

    Read from a batch's ``start``, the first batch is that one; those after it may end elsewhere than before, and have
    the same rows and lines.

    A reader may open a file by its beginning alone. Until a pass has come to the end, or ``settle`` was called,
    ``columns`` may grow, ``batches`` may raise ``NotAsItBegan``, and batches may end elsewhere than later; the rows and
    their lines are the same.
    """

    columns: list[str]
    #: What was decided about the file, for people: format, delimiter, encoding.
    described: dict[str, str]
    #: Whether the file says which columns it has; otherwise each row does, and may lack some.
    names_its_columns: bool = True
    #: The columns' types where the file itself has them; their cells are still given as text.
    types: Mapping[str, pa.DataType] = MappingProxyType({})

    #: The sheets of the workbook, where it is of one.
    sheets: Sequence[str] = ()

    #: Why no part of it can be read by itself, for people; ``None`` where ``marks`` say where one may begin.
    uncut: str | None = "a file of its format is read from its beginning"

    #: Where a strategy makes the rows, the types of the columns that are not as they were read.
    made: Mapping[str, pa.DataType] | None = None

    @property
    def input_columns(self) -> list[str]:
        """The columns of the file, where those of the batches are made of them."""
        return self.columns

    @property
    def marks(self) -> list[Mark]:
        """Where a part of it may begin, the first one at its own beginning; known once a pass has come to its end."""
        return []

    @abstractmethod
    def batches(self, start: dict[str, Any] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""

    def part(self, start: dict[str, Any] | None, until: dict[str, Any] | None) -> Iterator[Batch]:
        """The batches from a batch's or a mark's ``start`` on that are before another mark's; ``None`` is either end.

        It is for readers that are not ``uncut``, and have found out before what there is to be.
        """
        if until is not None:
            raise NotImplementedError
        return self.batches(start)

    @property
    def found(self) -> dict[str, Any] | None:
        """What was found out about the file, as JSON for ``ReadOptions``; ``None`` where finding it again is free."""
        return None

    def settle(self) -> None:  # noqa: B027  # most formats show their columns at once
        """Look at the whole file where its beginning is not enough."""


class Input:
    """The bytes of an input file, opened anew by each call.

    The first pass from start to end finds the checksum on its way. The beginning is kept in memory, and so is read
    from the file store once only.

    Args:
        source: opens the file in its store.
        name: the file's name, which tells what it is packed in: ``a.csv.gz``, or ``a.zip#b.csv`` for one in an archive.
    """

    def __init__(self, source: Source, name: str) -> None:
        self.source, self.name = source, name
        self.head = bytearray()
        self.head_is_all = False
        self._checksum: str | None = None
        self._held: IO[bytes] | None = None
        self._unpacked: IO[bytes] | None = None
        #: How many bytes the pass that came furthest has read.
        self.size = 0

    def __call__(self) -> BinaryIO:
        """Open it, to be read from its start on."""
        return io.BufferedReader(_Pass(self), BLOCK)

    def part(self, byte: int, end: int | None = None) -> BinaryIO:
        """Open it from a byte on, up to another one or to its end."""
        if byte == 0 and end is None:
            return self()
        stream = self.source()
        stream.seek(byte)
        return io.BufferedReader(_Part(stream, None if end is None else end - byte), BLOCK)

    @property
    def checksum(self) -> str:
        """The SHA-256 of all its bytes; read for it where no pass came to the end yet."""
        if self._checksum is None:
            with self() as stream:
                while stream.read(BLOCK):
                    pass
        assert self._checksum is not None
        return self._checksum

    def passed(self, checksum: str) -> None:
        """Note what a pass that came to the end found."""
        self._checksum = checksum

    @cached_property
    def member(self) -> str | None:
        """The name of the file inside, where the input is an archive.

        Raises:
            InputRefused: the archive is damaged, or does not say which.
        """
        key, wanted = split_member(self.name)
        if not is_zip(key):
            return None
        from batch_jobs.strategies.tables.formats.format import is_table_name  # formats need readers

        return chosen_member(self.held(), key, wanted, is_table_name)

    @property
    def table_name(self) -> str:
        """The name that tells the format: without what it is packed in."""
        return bare_name(self.member or self.name)

    def forget(self) -> None:
        """Let go of what is kept of it; the next pass fetches it again."""
        self.head, self.head_is_all = bytearray(), False
        for copy in (self._held, self._unpacked):
            if copy is not None:
                copy.close()
        self._held = self._unpacked = None

    def held(self) -> BinaryIO:
        """Open a copy of the bytes as they are, which can be read here and there; fetched once."""
        if self._held is None:
            self._held = SpooledTemporaryFile(HELD)  # noqa: SIM115  # it lives as long as the input
            with self() as stream:
                shutil.copyfileobj(stream, self._held, BLOCK)
        self._held.seek(0)
        return cast(BinaryIO, Borrowed(self._held))

    def in_place(self) -> BinaryIO:
        """Open it in its store, to be read here and there; a copy of what is packed, or cannot be read so."""
        if is_packed(self.name):
            return self.seekable()
        stream = self.source()
        if stream.seekable():
            return stream
        stream.close()
        return self.seekable()

    def seekable(self) -> BinaryIO:
        """Open a copy of what is unpacked, which can be read here and there; in memory only while it is small."""
        if not is_packed(self.name):
            return self.held()
        if self._unpacked is None:
            copy = SpooledTemporaryFile(HELD)  # noqa: SIM115  # it lives as long as the input
            with unpacked(self) as stream:
                copy_within_bounds(stream, cast(BinaryIO, copy), self.name, lambda: self.size)
            self._unpacked = copy
        self._unpacked.seek(0)
        return cast(BinaryIO, Borrowed(self._unpacked))


class InputInPlace(Input):
    """An input of which little is read: what is read here and there is not fetched first, where its store allows it."""

    def held(self) -> BinaryIO:
        """Open the bytes as they are, to be read here and there."""
        stream = self.source()
        if stream.seekable():
            self.size = max(self.size, stream.seek(0, io.SEEK_END))
            stream.seek(0)
            return stream
        stream.close()
        return super().held()


class _Pass(io.RawIOBase):
    """One pass over an input: what is kept of its head first, then the rest out of the store."""

    def __init__(self, of: Input) -> None:
        self._input = of
        self._position = 0
        self._digest = sha256()
        self._stream: BinaryIO | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = bytes(self._input.head[self._position : self._position + len(buffer)]) or self._beyond(len(buffer))
        self._position += len(block)
        self._input.size = max(self._input.size, self._position)
        self._digest.update(block)
        if not block:
            self._input.passed(self._digest.hexdigest())
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        super().close()

    def _beyond(self, size: int) -> bytes:
        if self._input.head_is_all:
            return b""
        if self._stream is None:
            self._stream = self._input.source()
            self._stream.seek(self._position)
        block = self._stream.read(size)
        head = self._input.head
        if self._position == len(head) < HEAD:
            head += block[: HEAD - len(head)]
            self._input.head_is_all = not block
        return block


class _Part(io.RawIOBase):
    """So many of the next bytes of a stream, or all that there are."""

    def __init__(self, stream: BinaryIO, left: int | None) -> None:
        self._stream, self._left = stream, left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._stream.read(len(buffer) if self._left is None else min(len(buffer), self._left))
        if self._left is not None:
            self._left -= len(block)
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._stream.close()
        super().close()
