"""Finding the cells in a block of a sheet's XML, by the places of its tags: a cell costs no Python."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch_jobs.strategies.tables.formats.xlsx.plain import NotPlain

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Of cells: a shared one, one of its own, and what a formula gave.
TEXT_TYPES = (b"s", b"inlineStr", b"str")

_ATTRIBUTES = re.compile(rb'(\s+[\w:.-]+="[^"]*")*\s*/?')
_ATTRIBUTE = re.compile(rb'\s([\w:.-]+)="([^"]*)"')
_TENS = 10 ** np.arange(1, 18)
_PADDING = b" " * 32  # what looks ahead from the last tag stays inside
_LETTERS = 3  # of a column, at most
_DIGITS = 10  # of a row, at most
_ENDS_NAME = np.zeros(256, np.bool_)
_ENDS_NAME[list(b" />\t\n")] = True


@dataclass(frozen=True)
class Cells:
    """The cells of some rows, in their order.

    ``lines`` are the rows' numbers; of each cell ``row`` is the index into them, ``column`` counts from 0,
    ``attributes`` is the index into ``distinct``, ``formula`` says whether it has one. ``value`` has the text of those
    cells that have a value, and ``valued`` says which these are.
    """

    lines: Integers
    row: Integers
    column: Integers
    attributes: Integers
    distinct: list[dict[bytes, bytes]]
    formula: Flags
    value: pa.BinaryArray
    valued: Integers

    def of_rows(self, begun: int, end: int) -> "Cells":
        """The cells of the rows from one index to another."""
        first, last = np.searchsorted(self.row, [begun, end])
        held = slice(*np.searchsorted(self.valued, [first, last]))
        cells = slice(first, last)
        return Cells(
            self.lines[begun:end], self.row[cells] - begun, self.column[cells], self.attributes[cells], self.distinct,
            self.formula[cells], self.value[held], self.valued[held] - first,
        )  # fmt: skip

    @cached_property
    def is_text(self) -> Flags:
        """Which cells are text, whatever it looks like."""
        texts = [attributes.get(b"t") in TEXT_TYPES for attributes in self.distinct]
        return np.array(texts, np.bool_)[self.attributes]

    @property
    def last_shared(self) -> int:
        """The highest number of a shared text that a cell refers to; -1 where none does."""
        shared = np.array([attributes.get(b"t") == b"s" for attributes in self.distinct], np.bool_)
        mine = np.flatnonzero(shared[self.attributes[self.valued]]) if len(self.distinct) else np.zeros(0, np.int64)
        numbers = [int(text) for text in self.value.take(pa.array(mine)).to_pylist() if text.isdigit()]
        return max(numbers, default=-1)


def read_cells(block: bytes, previous: int) -> Cells:
    """The cells of a block of whole rows; ``previous`` is the number of the row before it.

    Raises:
        NotPlain: it is not in the plain form.
    """
    tags = _Tags(block)
    rows, cells = tags.rows(), tags.places(b"c")
    lines = _lines(tags, rows, previous)
    row = np.searchsorted(rows, cells) - 1
    if (not len(rows) and len(tags.start)) or (row < 0).any():
        raise NotPlain
    column, rest = _columns(tags, cells, row, lines)
    encoded = _slices(tags.data, rest, tags.end[cells]).dictionary_encode()
    value, valued = _values(tags, cells)
    formula = np.zeros(len(cells), np.bool_)
    formula[np.searchsorted(cells, tags.places(b"f")) - 1] = True
    return Cells(
        lines, row, column, encoded.indices.to_numpy().astype(np.int64),
        [_attributes(text) for text in encoded.dictionary.to_pylist()], formula, value, valued,
    )  # fmt: skip


class _Tags:
    """Where tags begin and end in a block."""

    def __init__(self, block: bytes) -> None:
        self.data = block + _PADDING
        self.bytes = np.frombuffer(self.data, np.uint8)
        self.start = np.flatnonzero(self.bytes == ord("<"))
        self.end = np.flatnonzero(self.bytes == ord(">"))
        if len(self.start) != len(self.end) or (self.end < self.start).any() or (self.end[:-1] > self.start[1:]).any():
            raise NotPlain
        self.first, self._second = self.bytes[self.start + 1], self.bytes[self.start + 2]
        self._one_letter = _ENDS_NAME[self._second]
        if ((self.first == ord("!")) | (self.first == ord("?"))).any():
            raise NotPlain

    def places(self, *names: bytes) -> Integers:
        """Which tags open an element of one of these names, which are of one letter."""
        found = self.first == names[0][0]
        for name in names[1:]:
            found |= self.first == name[0]
        return np.flatnonzero(found & self._one_letter)

    def rows(self) -> Integers:
        """Which tags open a row."""
        places = np.flatnonzero((self.first == ord("r")) & (self._second == ord("o")))
        start = self.start[places]
        named: Flags = (self.bytes[start + 3] == ord("w")) & _ENDS_NAME[self.bytes[start + 4]]
        rows: Integers = places[named]
        return rows

    def begins(self, places: Integers, offset: int, text: bytes) -> bool | None:
        """Whether all these tags have a text at this offset; ``None`` where only some do."""
        start = self.start[places] + offset
        has = np.logical_and.reduce([self.bytes[start + index] == letter for index, letter in enumerate(text)])
        return True if has.all() else None if has.any() else False


def _lines(tags: _Tags, rows: Integers, previous: int) -> Integers:
    if not len(rows):
        return np.zeros(0, np.int64)
    numbered = tags.begins(rows, 4, b' r="')
    if not numbered:
        own = [tags.data[start:end] for start, end in zip(tags.start[rows], tags.end[rows], strict=True)]
        if numbered is None or any(b"r=" in tag for tag in own):
            raise NotPlain
        return previous + 1 + np.arange(len(rows))
    lines, place = np.zeros(len(rows), np.int64), tags.start[rows] + len('<row r="')
    for _ in range(_DIGITS):
        digits = tags.bytes[place].astype(np.int64) - ord("0")
        more = (digits >= 0) & (digits <= 9)
        if not more.any():
            break
        lines = np.where(more, lines * 10 + digits, lines)
        place = place + more
    if (tags.bytes[place] != ord('"')).any():
        raise NotPlain
    return lines


def _columns(tags: _Tags, cells: Integers, row: Integers, lines: Integers) -> tuple[Integers, Integers]:
    """Each cell's column, and where the attributes behind it begin."""
    start = tags.start[cells]
    named = tags.begins(cells, 2, b' r="') if len(cells) else False
    if named is None:
        raise NotPlain
    if not named:
        return np.arange(len(cells)) - np.searchsorted(row, row), start + len("<c")
    column, place = np.zeros(len(cells), np.int64), start + len('<c r="')
    for _ in range(_LETTERS):
        letters = tags.bytes[place].astype(np.int64) - ord("A")
        more = (letters >= 0) & (letters < 26)
        column = np.where(more, column * 26 + letters + 1, column)
        place = place + more
    place = place + np.searchsorted(_TENS, lines, "right")[row] + 1
    if (tags.bytes[place] != ord('"')).any() or (column == 0).any():
        raise NotPlain
    return column - 1, place + 1


def _values(tags: _Tags, cells: Integers) -> tuple[pa.BinaryArray, Integers]:
    """The texts of values, and which cells they are of."""
    places = tags.places(b"v", b"t")
    closed = tags.bytes[tags.end[places] - 1] == ord("/")
    following = np.minimum(places + 1, len(tags.start) - 1)
    if (tags.first[following] != ord("/"))[~closed].any():
        raise NotPlain
    start = tags.end[places] + 1
    holders = np.searchsorted(cells, places) - 1
    if (np.diff(holders) == 0).any() or (holders < 0).any():  # a text in several runs
        raise NotPlain
    return _slices(tags.data, start, np.where(closed, start, tags.start[following])), holders


def _slices(data: bytes, start: Integers, end: Integers) -> pa.BinaryArray:
    """Pieces of a text, in its order, as an array."""
    if not len(start):
        return pa.array([], pa.binary())
    edges = np.column_stack([start, end]).ravel().astype(np.int32)
    buffers: Any = [None, pa.py_buffer(edges.tobytes()), pa.py_buffer(data)]
    with_gaps = pa.BinaryArray.from_buffers(pa.binary(), len(edges) - 1, buffers)
    return with_gaps.take(pa.array(np.arange(0, len(edges), 2)))


def _attributes(text: bytes) -> dict[bytes, bytes]:
    if not _ATTRIBUTES.fullmatch(text):
        raise NotPlain
    found = dict(_ATTRIBUTE.findall(text))
    if b"r" in found:
        raise NotPlain
    return found
