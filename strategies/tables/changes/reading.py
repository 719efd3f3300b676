"""Reading changes page by page, from the file of a preview or from the log: the same entries of both."""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.change_log import Kind
from batch_jobs.strategies.sdk.errors import BatchJobError
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, ChangedRows, keys_as_text
from batch_jobs.strategies.tables.changes.entries import Entry, changed_cells, entries_of
from batch_jobs.strategies.tables.changes.hiding import has_hidden
from batch_jobs.strategies.tables.changes.sieve import may_hold, normal
from batch_jobs.strategies.tables.changes.stored import is_mixed, stored_values

#: In a cursor: all of the block is read.
WHOLE = 1 << 60
#: How long blocks are looked through for one page, of which there may be few or none by then.
SECONDS = 1.0
KINDS = get_args(Kind)
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
NUMERIC = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
#: Digits of a percentage that are compared: a fall from 0.7 to 0.21 is one of 70 %.
DIGITS = 9

Place = tuple[Any, ...]
Numbers = npt.NDArray[np.float64]


class CursorWrong(BatchJobError):
    """A cursor that is none of these changes."""

    def __init__(self) -> None:
        super().__init__("cursor must be the next_cursor of the page before")


@dataclass(frozen=True)
class BlockHead:
    """What is known of a block without its rows; ``place`` is where it stands among others."""

    place: Place
    table: str
    kind: Kind
    key: list[str]
    columns: Mapping[str, int]
    sieve: bytes | None = None


class Blocks(Protocol):
    """Changes of a job in blocks, in an order that stays: ``ChangesFile``, ``LoggedBlocks``."""

    def heads(self, start: Place | None) -> Iterator[BlockHead]:
        """The blocks from a place on."""

    def rows(self, head: BlockHead) -> pa.Table:
        """The rows of a block."""


@dataclass(frozen=True)
class WantedKey:
    """The key of a row as somebody gives it: its cells by the names of their columns, or in the order of the key."""

    cells: Mapping[str, str] | Sequence[str]

    @classmethod
    def parse(cls, texts: Sequence[str]) -> "WantedKey":
        """Read a key: its cells in the order of the key, or one JSON object or array.

        Raises:
            ValueError: the JSON is not of texts and numbers.
        """
        given: Any = list(texts)
        if len(texts) == 1 and texts[0][:1] in ("{", "["):
            with suppress(ValueError, RecursionError):  # it may be a key that looks so
                given = json.loads(texts[0])
        cells = list(given.values()) if isinstance(given, dict) else given
        if not cells or any(isinstance(cell, dict | list) or cell is None for cell in cells):
            raise ValueError('key must be texts, or JSON of such: {"code": "A-001", "region": "EU"}')
        if isinstance(given, dict):
            return cls({name: _cell(cell) for name, cell in given.items()})
        return cls([_cell(cell) for cell in cells])

    def in_order(self, key: Sequence[str]) -> list[str] | None:
        """The cells in the order of a key, ``None`` where it is another key."""
        if isinstance(self.cells, Mapping):
            return [self.cells[name] for name in key] if set(self.cells) == set(key) else None
        return list(self.cells) if len(self.cells) == len(key) else None


@dataclass(frozen=True)
class ChangeFilter:
    """Which changes are wanted; what is ``None`` does not narrow.

    ``percent_below`` and ``percent_above`` are about columns with numbers before and after: by how much per cent of
    what it was a number changes, below 0 where it falls. ``emptied`` and ``filled`` are columns of known rows that lose
    their value, or get one. ``key_begins`` is how a cell of the key begins, whatever the case of its letters.
    """

    kind: str | None = None
    column: str | None = None
    key: WantedKey | None = None
    percent_below: float | None = None
    percent_above: float | None = None
    emptied: bool = False
    filled: bool = False
    key_begins: str | None = None

    @property
    def is_about_numbers(self) -> bool:
        """Whether it asks by how much numbers change."""
        return self.percent_below is not None or self.percent_above is not None

    @property
    def is_about_known_rows(self) -> bool:
        """Whether only what changes in rows that stay is wanted."""
        return self.is_about_numbers or self.emptied or self.filled

    def may_match(self, head: BlockHead) -> bool:
        """Whether changes of a block may be wanted."""
        if self.kind is not None and head.kind != self.kind:
            return False
        if self.column is not None and not head.columns.get(self.column):
            return False
        if self.is_about_known_rows and head.kind != "updated":
            return False
        if self.key_begins is not None and not head.key:
            return False
        if self.key is None:
            return True
        cells = self.key.in_order(head.key)
        return cells is not None and (head.sieve is None or may_hold(head.sieve, cells))

    def cells(self, changed: ChangedRows) -> npt.NDArray[np.bool_]:
        """Which cells of a block are wanted, as ``changed_cells`` has them."""
        cells = changed_cells(changed)
        if self.column is not None:
            cells[:, [name != self.column for name in changed.columns] + [True]] = False
        if self.key is not None:
            cells[~_has_key(changed, self.key.in_order(changed.key) or ())] = False
        if self.key_begins is not None:
            cells[~_begins(changed, self.key_begins)] = False
        if self.is_about_known_rows:
            cells[:, -1] = False
        for place, name in enumerate(changed.columns):
            if self.emptied or self.filled:
                cells[:, place] &= self._has_no_value(changed, name)
            if self.is_about_numbers:
                cells[:, place] &= self._is_within(percent_changes(changed, name))
        return cells

    def _has_no_value(self, changed: ChangedRows, column: str) -> npt.NDArray[np.bool_]:
        """In which rows a column that changes has no value any more, or had none."""
        lacking = np.zeros(len(changed), dtype=np.bool_)
        for side in [AFTER] * self.emptied + [BEFORE] * self.filled:
            is_there = side + column in changed.rows.column_names
            lacking |= pc.is_null(changed.rows.column(side + column)).to_numpy() if is_there else True
        return lacking

    def _is_within(self, percent: Numbers) -> npt.NDArray[np.bool_]:
        within = ~np.isnan(percent)
        if self.percent_below is not None:
            within &= percent < self.percent_below
        if self.percent_above is not None:
            within &= percent > self.percent_above
        return within


@dataclass(frozen=True)
class Cursor:
    """How far changes are read: up to a cell of a block."""

    place: Place
    cell: int

    def __str__(self) -> str:
        text = json.dumps([*self.place, self.cell], separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, like: Sequence[type]) -> "Cursor":
        """Read what ``str`` gives.

        Args:
            text: of somebody.
            like: the types of what a place is made of.

        Raises:
            CursorWrong: it is no cursor.
        """
        try:
            *place, cell = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValueError, TypeError, RecursionError) as error:
            raise CursorWrong from error
        if list(map(type, [*place, cell])) != [*like, int] or any(_is_beyond(part) for part in (*place, cell)):
            raise CursorWrong
        return cls(tuple(place), cell)


@dataclass(frozen=True)
class ChangePage:
    """Some changes, and where to go on; there may be more where there is a cursor, however few these are."""

    entries: list[Entry] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    cursor: Cursor | None = None


def read_page(
    blocks: Blocks,
    wanted: ChangeFilter,
    cursor: Cursor | None,
    limit: int,
    seconds: float = SECONDS,
    may_read: Callable[[str], bool] = lambda table: True,
) -> ChangePage:
    """The changes after a cursor, as many as there may be or are found in the time there is.

    Args:
        blocks: has them.
        wanted: which of them.
        cursor: of the page before.
        limit: how many at most.
        seconds: how long to look.
        may_read: whether changes of a table may be shown; others are left out.
    """
    until = time.monotonic() + seconds
    page = ChangePage()
    for head in blocks.heads(cursor.place if cursor else None):
        first = cursor.cell + 1 if cursor and cursor.place == head.place else 0
        if first > WHOLE:
            continue
        last = WHOLE
        if may_read(head.table) and wanted.may_match(head):
            changed = ChangedRows(head.table, head.kind, head.key, blocks.rows(head))
            cells = wanted.cells(changed)
            found = np.flatnonzero(cells)
            found = found[np.searchsorted(found, first) :][: limit - len(page.entries)]
            page.entries.extend(entries_of(changed, *np.divmod(found, cells.shape[1])))
            page.places.extend([head.place] * len(found))
            last = int(found[-1]) if len(page.entries) == limit else WHOLE
        if len(page.entries) == limit or time.monotonic() >= until:
            return ChangePage(page.entries, page.places, Cursor(head.place, last))
    return page


def percent_changes(changed: ChangedRows, column: str) -> Numbers:
    """By how much per cent a column changes in each row; not a number where it is no number before or after."""
    if not {BEFORE + column, AFTER + column} <= set(changed.rows.column_names):
        return np.full(len(changed), np.nan)
    before, after = (_numbers(changed.rows, mark + column) for mark in (BEFORE, AFTER))
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = np.round((after - before) / np.abs(before) * 100, DIGITS)
    return np.asarray(percent)


def _numbers(rows: pa.Table, name: str) -> Numbers:
    about, column = rows.schema.field(name), rows.column(name)
    if has_hidden(about):
        return np.full(len(column), np.nan)
    if is_mixed(about):
        values = stored_values(about, column)
        return np.array([value if isinstance(value, int | float) else np.nan for value in values], np.float64)
    if pa.types.is_string(column.type):
        column = pc.if_else(pc.match_substring_regex(column, NUMBER), pc.utf8_trim_whitespace(column), None)
    elif not (
        pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)
    ):
        return np.full(len(column), np.nan)
    numbers = pc.fill_null(column.cast(pa.float64(), safe=False), float("nan"))
    return np.asarray(numbers.to_numpy())


def _begins(changed: ChangedRows, text: str) -> npt.NDArray[np.bool_]:
    """In which rows a cell of the key begins with a text."""
    begins = np.zeros(len(changed), dtype=np.bool_)
    for texts in keys_as_text(changed).columns:
        begins |= pc.fill_null(pc.starts_with(pc.utf8_lower(texts), text.lower()), False).to_numpy()
    return begins


def _has_key(changed: ChangedRows, cells: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which rows have a key: by its looks, as keys that a database takes for equal may be written in several ways."""
    has = np.ones(len(changed), dtype=np.bool_)
    for column, cell in zip(keys_as_text(changed).columns, cells, strict=True):
        texts = normal(column)
        wanted = normal(pa.chunked_array([pa.array([cell], pa.string())]))[0]
        has &= pc.fill_null(pc.equal(texts, wanted), False).to_numpy()
    return has


def _cell(cell: Any) -> str:
    return cell if isinstance(cell, str) else json.dumps(cell)


def _is_beyond(part: Any) -> bool:
    return isinstance(part, int) and not 0 <= part < 1 << 62
