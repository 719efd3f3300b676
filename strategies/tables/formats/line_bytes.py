"""At which byte of a text a line begins, found as the text is read by a parser that knows only lines."""

import io
from collections import deque
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from batch_jobs.strategies.tables.formats.encodings import EVERYDAY

LINE_FEED = 0x0A
#: Line feeds that are looked for one by one.
FEW = 16


@dataclass(frozen=True, slots=True)
class _Block:
    """A piece of the text: where it begins, and how many line feeds are before it and up to its end."""

    byte: int
    feeds_before: int
    feeds: int
    text: bytes


class LineBytes(io.RawIOBase):
    """A stream that counts line feeds, and keeps what was read of it until it is asked for a line beyond.

    Args:
        stream: the text, from a line's beginning on.
        line: the number of that line.
        byte: where in the whole text it begins.
    """

    def __init__(self, stream: BinaryIO, line: int, byte: int) -> None:
        self._stream = stream
        self._line, self._byte = line, byte
        self._kept: deque[_Block] = deque()  # a parser reads ahead in a thread of its own, and appends only
        self._feeds, self._read = 0, byte
        self._ends_open = False

    @property
    def lines(self) -> int:
        """How many lines were read, if all end in a line feed but perhaps the last."""
        return self._feeds + self._ends_open

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """At most so many bytes."""
        block = self._stream.read(-1 if size is None else size)
        if block:
            found = int(np.count_nonzero(np.frombuffer(block, np.uint8) == LINE_FEED))
            self._kept.append(_Block(self._read, self._feeds, self._feeds + found, block))
            self._feeds, self._read = self._feeds + found, self._read + len(block)
            self._ends_open = block[-1] != LINE_FEED
        return block

    def byte_of(self, line: int) -> int | None:
        """Where a line begins, asked for in the order of lines; ``None`` where so many line feeds were not read."""
        feed = line - self._line
        if feed <= 0:
            return self._byte
        while self._kept and self._kept[0].feeds < feed:
            self._kept.popleft()
        if not self._kept:
            return None
        block = self._kept[0]
        return block.byte + _place_of_feed(block, feed) + 1


def _place_of_feed(block: _Block, feed: int) -> int:
    if block.feeds - feed < FEW:  # a parser's batch ends with the last lines of a block
        place = len(block.text)
        for _ in range(block.feeds - feed + 1):
            place = block.text.rfind(b"\n", 0, place)
        return place
    feeds = np.flatnonzero(np.frombuffer(block.text, np.uint8) == LINE_FEED)
    return int(feeds[feed - block.feeds_before - 1])


def has_lines_of_bytes(encoding: str) -> bool:
    """Whether in an encoding every byte of a line feed is one, and what is after it can be read by itself."""
    if encoding in ("utf-8", "utf-8-sig", *EVERYDAY):
        return True
    letters = [bytes([byte]).decode(encoding, errors="replace") for byte in range(256)]
    ascii_ = [chr(byte) for byte in range(128)]
    return letters[:128] == ascii_ and all(len(letter) == 1 and letter not in "\r\n" for letter in letters[128:])
