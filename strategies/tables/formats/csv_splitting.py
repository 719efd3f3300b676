"""Delimited text split by Arrow: block by block, from its beginning or from any record on."""

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from batch_jobs.strategies.tables.formats.dialect import Dialect

BLOCK = 1 << 20
MOST_UTF8 = 4  # bytes that a byte of another encoding may become


class Splitting:
    """How a text is split.

    Args:
        dialect: how it is written.
        cells: names of the cells of a record.
    """

    def __init__(self, dialect: Dialect, cells: list[str]) -> None:
        self._dialect, self._cells = dialect, cells

    def tables(
        self, text: Any, encoding: str, block: int, spans_lines: bool, meet: Callable[[Any], str]
    ) -> Iterator[pa.Table]:
        """The records of a text, in tables of about a block each.

        Args:
            text: a stream.
            encoding: of the text.
            block: bytes that are split at a time.
            spans_lines: whether a cell may.
            meet: is given every record of another width.

        Raises:
            ArrowInvalid: a record is longer than a block, which Arrow calls straddling.
        """
        from pyarrow import csv as arrow_csv

        reader = arrow_csv.open_csv(
            text,
            arrow_csv.ReadOptions(use_threads=False, block_size=block, column_names=self._cells, encoding=encoding),
            self._parsing(spans_lines, meet),
            _converting(self._cells),
        )
        for batch in reader:
            yield pa.Table.from_batches([batch])

    def alone(self, rows: list[str], names: list[str]) -> pa.Table:
        """Records of another width, by themselves; ``names`` are those of their cells."""
        from pyarrow import csv as arrow_csv

        text = "\n".join(rows).encode()
        options = arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(text) + 1)
        return arrow_csv.read_csv(io.BytesIO(text), options, self._parsing(True), _converting(names))

    def _parsing(self, spans_lines: bool, meet: Callable[[Any], str] | None = None) -> Any:
        from pyarrow import csv as arrow_csv

        return arrow_csv.ParseOptions(
            delimiter=self._dialect.delimiter,
            quote_char=self._dialect.plain_quote or False,
            newlines_in_values=spans_lines,
            ignore_empty_lines=False,
            invalid_row_handler=meet,
        )


def from_a_record(text: Any, encoding: str, block: int) -> tuple[Any, int] | None:
    """A stream of the text from a record on, and the block to split it by; ``None`` where nothing is left.

    Arrow takes a mark of the byte order away from where a stream begins, even if it is a cell's; so it gets another.
    """
    mark = "\ufeff".encode(encoding, errors="ignore")
    begun = text.read(block)
    return (_Continued(mark + begun, text), block + len(mark)) if begun else None


def as_one_block(text: Any, encoding: str, is_beginning: bool) -> tuple[Any, int] | None:
    """All of a text, to be split at once."""
    mark = b"" if is_beginning else "\ufeff".encode(encoding, errors="ignore")
    whole = b"".join(iter(partial(text.read, BLOCK), b""))
    return (io.BytesIO(mark + whole), MOST_UTF8 * len(whole) + len(mark)) if whole else None


class _Continued(io.RawIOBase):
    """A stream behind what was read of it already."""

    def __init__(self, begun: bytes, stream: io.RawIOBase) -> None:
        self._begun, self._stream = begun, stream

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes | None:
        wanted = -1 if size is None else size
        if not self._begun:
            return self._stream.read(wanted)
        taken, self._begun = (self._begun, b"") if wanted < 0 else (self._begun[:wanted], self._begun[wanted:])
        return taken


def _converting(names: list[str]) -> Any:
    from pyarrow import csv as arrow_csv

    return arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
