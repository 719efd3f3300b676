"""A text on its way to Arrow: as Arrow is to split it, its quotes counted, and a backslash before one reported."""

import io
import re
from collections.abc import Iterable, Iterator

from batch_jobs.strategies.tables.formats.dialect import Dialect
from batch_jobs.strategies.tables.formats.rewriting import without_lines

LINE = 1 << 12  # bytes at a block's end that are looked at again with the next one


class BackslashQuote(Exception):
    """A quote within a quoted cell has a backslash before it, as if that were its escape."""

    def __init__(self, block: int, lines: int) -> None:
        super().__init__()
        #: How many blocks there are before, and how many line ends between their end and the quote.
        self.block, self.lines = block, lines


class PlainText(io.RawIOBase):
    """A text that Arrow can split, read once.

    Args:
        blocks: the whole text in UTF-8.
        dialect: how it is written.

    Raises:
        BackslashQuote: by reading.
    """

    def __init__(self, blocks: Iterable[bytes], dialect: Dialect) -> None:
        self.quotes = 0
        self._blocks = _rewritten(blocks, dialect)
        self._quote = dialect.plain_quote.encode()
        self._escaped = _escaped_quote(dialect) if dialect.quote and not dialect.escape else None
        self._done = 0
        self._last = b"\n"
        self._left = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """At most so many bytes."""
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self.look_at(block)
            self._left = block
        wanted = len(self._left) if size is None or size < 0 else size
        taken, self._left = self._left[:wanted], self._left[wanted:]
        return taken

    def count(self) -> int:
        """Read all, and return how many quotes there are."""
        for block in self._blocks:
            self.look_at(block)
        return self.quotes

    def lines_before(self, block: int) -> int:
        """Read so many blocks, and return how many line ends there are in them."""
        return sum(next(self._blocks, b"").count(b"\n") for _ in range(block))

    def look_at(self, block: bytes) -> None:
        """Count a block's quotes, and look at what is before them."""
        self.quotes += block.count(self._quote) if self._quote else 0
        if self.quotes and self._escaped is not None:
            if b"\\" + self._quote in block or self._last.endswith(b"\\"):
                self._refuse_escapes(block, self._escaped)
            self._last = block[max(block.rfind(b"\n"), len(block) - LINE, 0) :]
        self._done += 1

    def _refuse_escapes(self, block: bytes, escaped: re.Pattern[bytes]) -> None:
        text = self._last + block
        found = escaped.search(text)
        if found:
            raise BackslashQuote(self._done, text.count(b"\n", 0, found.end() - 1) - self._last.count(b"\n"))


def _rewritten(blocks: Iterable[bytes], dialect: Dialect) -> Iterator[bytes]:
    if dialect.skipped:
        blocks = without_lines(blocks, dialect.skipped)
    rewriting = dialect.rewriting
    return iter(rewriting(blocks) if rewriting else blocks)


def _escaped_quote(dialect: Dialect) -> re.Pattern[bytes]:
    """A cell that begins with a quote, and has another with a backslash before it that does not end the cell."""
    quote, between = re.escape(dialect.quote), re.escape(dialect.delimiter)
    inside = rf"[^{quote}{between}\r\n]|{quote}[{between}\r\n]"
    return re.compile(rf"[{between}\r\n]{quote}[^{quote}\r\n]*+(?<=\\){quote}(?:{inside})".encode())
