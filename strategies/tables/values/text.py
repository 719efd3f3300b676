"""Kinds of columns that hold text, kept exactly, and what is written as text."""

import json
import re
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.values.arrays import Converted, Parsed, each, has_nul, quoted, trimmed

HEX = re.compile(r"(\\x)?([0-9A-Fa-f]{2})*")


class Text:
    """Text of at most a number of characters; a NUL character, which PostgreSQL cannot hold, is refused everywhere."""

    def __init__(self, length: int | None = None) -> None:
        self._length = length

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        if self._fits(cells):
            return Converted(cells)
        wrong = pc.match_substring(cells, "\0")
        if self._length is not None:
            wrong = pc.or_(wrong, pc.greater(pc.utf8_length(cells), self._length))
        if not pc.any(wrong).as_py():
            return Converted(cells)
        bad = [(index, self._message(cells[index].as_py())) for index in pc.indices_nonzero(wrong).to_pylist()]
        return Converted(pc.if_else(wrong, pa.scalar(None, pa.string()), cells), bad)

    def _fits(self, cells: pa.Array) -> bool:
        """Whether all cells surely are good, going by their bytes; there are never fewer of them than characters."""
        longest = pc.max(pc.binary_length(cells)).as_py() or 0
        return not has_nul(cells) and (self._length is None or longest <= self._length)

    def _message(self, cell: str) -> str:
        if "\0" in cell:
            return f"{quoted(cell)} has a NUL character"
        return f"{quoted(cell)} has {len(cell)} characters where the column holds {self._length}"


class Choice:
    """One of some words."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        wrong = pc.and_(pc.is_valid(cells), pc.invert(pc.is_in(cells, pa.array(self._words, pa.string()))))
        if not pc.any(wrong).as_py():
            return Converted(cells)
        allowed = ", ".join(self._words)
        indices = pc.indices_nonzero(wrong).to_pylist()
        bad = [(index, f"{quoted(cells[index].as_py())} is not one of {allowed}") for index in indices]
        return Converted(pc.if_else(wrong, pa.scalar(None, pa.string()), cells), bad)


class Json:
    """JSON, as it is written."""

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        return each(trimmed(cells), pa.string(), _json)


def _json(cell: str) -> str:
    try:
        json.loads(cell)
    except (ValueError, RecursionError):
        raise ValueError(f"{quoted(cell)} is not JSON") from None
    if "\\u0000" in cell:
        raise ValueError(f"{quoted(cell)} has a NUL character")
    return cell


def never(texts: pa.Array) -> bool:
    """No cells may be cast: each is parsed."""
    return False


def uuid() -> Parsed:
    """UUIDs in their usual form."""

    def parse(cell: str) -> str:
        try:
            return str(UUID(cell))
        except ValueError:
            raise ValueError(f"{quoted(cell)} is not a UUID") from None

    return Parsed(pa.string(), never, parse)


def binary() -> Parsed:
    r"""Bytes in hexadecimal, with or without PostgreSQL's ``\x``."""

    def parse(cell: str) -> bytes:
        if not HEX.fullmatch(cell):
            raise ValueError(f"{quoted(cell)} is not hexadecimal")
        return bytes.fromhex(cell.removeprefix("\\x"))

    return Parsed(pa.binary(), never, parse)
