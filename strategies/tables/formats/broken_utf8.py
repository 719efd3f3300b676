"""UTF-8 in which a few bytes are not: they are marked, so that the cells that have them are rejects, and no others."""

import codecs
from dataclasses import replace
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.formats.reading import BadCell, Batch
from batch_jobs.strategies.tables.values.arrays import quoted

#: How a decoder is to meet bytes that are not UTF-8.
MARKING = "batch-jobs-marking"
#: Noncharacters of Unicode, which no text may have: one for the first four bits of a byte and one for the last four.
_FIRST, _LAST = 0xFDD0, 0xFDE0
_MARKS = r"[\x{FDD8}-\x{FDDF}][\x{FDE0}-\x{FDEF}]"
_SHOWN = 10  # bytes in a message
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    broken = error.object[error.start : error.end]
    return "".join(chr(_FIRST + (byte >> 4)) + chr(_LAST + (byte & 15)) for byte in broken), error.end


codecs.register_error(MARKING, _mark)


def is_mostly_utf8(block: bytes, before: int = 0) -> bool:
    """Whether a text is UTF-8 but for a few bytes, as others hardly ever have two bytes that look like a letter of it.

    Args:
        block: the part that has such bytes.
        before: how many bytes of letters in UTF-8 there are before it.
    """
    text = block.decode(errors="replace")
    broken = text.count(REPLACEMENT)
    letters = len(text) - len(text.encode("ascii", errors="ignore")) - broken
    return before + letters >= broken


def marked_bytes(text: str) -> bytes:
    """The bytes that are marked in a text."""
    return bytes(
        (ord(first) - _FIRST) << 4 | (ord(last) - _LAST)
        for first, last in pairwise(text)
        if _FIRST + 8 <= ord(first) <= _FIRST + 15 and _LAST <= ord(last) <= _LAST + 15
    )


def without_marks(batch: Batch) -> Batch:
    """The batch with bad cells where bytes are marked; they are shown as replacement characters."""
    bad = list(batch.bad_cells)
    columns = []
    for name, column in zip(batch.table.column_names, batch.table.columns, strict=True):
        marked = pc.indices_nonzero(pc.match_substring_regex(column, _MARKS)).to_pylist()
        bad += [BadCell(index, name, _message(column[index].as_py())) for index in marked]
        columns.append(_plain(column) if marked else column)
    rows = [replace(row, row={name: _shown(cell) for name, cell in row.row.items()}) for row in batch.bad_rows]
    return replace(batch, table=pa.table(columns, batch.table.column_names), bad_rows=rows, bad_cells=bad)


def in_hex(broken: bytes) -> str:
    """Bytes for a message."""
    return broken[:_SHOWN].hex(" ").upper() + (" …" if len(broken) > _SHOWN else "")


def _message(cell: str) -> str:
    return f"{quoted(_shown(cell) or '')} is not UTF-8 ({in_hex(marked_bytes(cell))}); correct it, or set the encoding"


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.replace_substring_regex(column, _MARKS, REPLACEMENT)


def _shown(cell: str | None) -> str | None:
    return None if cell is None else _plain(pa.scalar(cell, pa.string())).as_py()
