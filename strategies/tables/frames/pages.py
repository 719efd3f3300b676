"""Rows of a table or a query as pages of Arrow's types, which are the same for every page."""

import json
import math
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, types

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.databases.reading import Source
from batch_jobs.strategies.tables.frames.digits import Digits
from batch_jobs.strategies.tables.frames.input_types import FRAMES
from batch_jobs.strategies.tables.selecting import Selection, nested
from batch_jobs.strategies.tables.values.arrays import LARGEST_PRECISION
from batch_jobs.strategies.tables.values.kinds import Kinds

#: Bytes of text after which a page has fewer rows than asked for.
PAGE_BYTES = 16 << 20
#: An element of an array as PostgreSQL writes it, in quotes or without, and the bounds of one that does not begin at 1.
_ELEMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,{}"]+)', re.DOTALL)
_BOUNDS = re.compile(r"^(\[-?\d+:-?\d+\])+=")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]\d+)?")
#: By how much of itself a float may be beside the decimal that it means, after some arithmetic.
NOISE = 1e-14
_AS_TEXT: dict[str, Any] = {"parse_float": str, "parse_int": str, "parse_constant": str}


@dataclass(frozen=True)
class Page:
    """Rows after each other: the number of the first one, from 1, and their cells as text and as values."""

    first: int
    texts: pa.Table
    typed: pa.Table

    @property
    def place(self) -> str:
        """Which rows they are, for an error."""
        last = self.first + self.typed.num_rows - 1
        return f"rows {self.first} to {last}" if self.typed.num_rows else "no rows"


class Pages:
    """Cuts the rows of a selection into pages.

    Args:
        source: reads the rows.
        connection: of its ``reading``.
        selection: which rows.
        nests: whether the text of arrays is JSON.
    """

    def __init__(self, source: Source, connection: Connection, selection: Selection, nests: bool) -> None:
        self._source, self._connection, self._selection, self._nests = source, connection, selection, nests
        exact = source.exact_types(connection, selection)
        counted = self._counted(exact)
        self._cells = [
            _cells_of(column.name, _type_in_frames(type, counted.get(column.name)))
            for column, type in zip(selection.columns, exact, strict=True)
        ]

    def first(self, size: int) -> Generator[Page]:
        """The first page alone, of at most so many rows."""
        # by a limit, since a read that is given up ends the transaction of PostgreSQL
        select = self._selection.select(database_of(self._connection))
        limited = replace(self._selection, source=nested(f"{select} LIMIT {size}"), order_by=[])
        return self._read(limited, size)

    def read(self, size: int) -> Generator[Page]:
        """All pages, of at most so many rows; an empty one where there are none."""
        return self._read(self._selection, size)

    def _read(self, selection: Selection, size: int) -> Generator[Page]:
        first = 1
        batches = self._source.batches(self._connection, selection, self._nests)
        with closing(batches):  # type: ignore[type-var]  # both sources give generators
            for texts in _cut(batches, size):
                yield self._page(first, texts)
                first += texts.num_rows
        if first == 1:
            none = {column.name: pa.array([], pa.string()) for column in self._selection.columns}
            yield self._page(1, pa.table(none))

    def _page(self, first: int, texts: pa.Table) -> Page:
        columns = zip(self._cells, texts.columns, strict=True)
        typed = [cells.values(column.combine_chunks(), first) for cells, column in columns]
        return Page(first, texts, pa.table(typed, names=texts.column_names))

    def _counted(self, exact: list[types.TypeEngine[Any]]) -> dict[str, Digits]:
        """The digits of the columns of decimals of which the database does not say how many they may have."""
        pairs = zip(self._selection.columns, exact, strict=True)
        open_columns = [column for column, type in pairs if _is_open(getattr(type, "item_type", type))]
        digits = {column.name: Digits() for column in open_columns}
        only = replace(self._selection, columns=open_columns, order_by=[])
        for texts in self._source.batches(self._connection, only) if open_columns else ():
            for column, cells in zip(open_columns, texts.columns, strict=True):
                whole = cells.combine_chunks()
                lists = _Lists(column.name, types.Text())
                digits[column.name].feed(lists.values(whole, 1).flatten() if column.is_array else whole)
        return digits


def _is_open(type: types.TypeEngine[Any]) -> bool:
    if not isinstance(type, types.Numeric) or isinstance(type, types.Float):
        return False
    return type.precision is None or not 0 <= (type.scale or 0) <= type.precision <= LARGEST_PRECISION


def _type_in_frames(type: types.TypeEngine[Any], digits: Digits | None) -> types.TypeEngine[Any]:
    if isinstance(type, types.ARRAY):
        return types.ARRAY(_type_in_frames(type.item_type, digits))
    if isinstance(type, types.Integer):
        return types.BigInteger()
    if isinstance(type, types.Float):
        return types.Double()
    if digits is None:
        return type
    return types.Text() if digits.are_too_many else types.Numeric(digits.precision, digits.scale)


def _cut(batches: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    held, rows, bytes = list[pa.Table](), 0, 0
    for batch in batches:
        held.append(batch)
        rows, bytes = rows + batch.num_rows, bytes + batch.nbytes
        while rows >= size or bytes >= PAGE_BYTES:
            whole = pa.concat_tables(held)
            yield whole.slice(0, size).combine_chunks()
            rest = whole.slice(size)
            held, rows, bytes = [rest], rest.num_rows, rest.nbytes
    if rows:
        yield pa.concat_tables(held).combine_chunks()


class _Cells:
    """Makes the texts of a column values of its type."""

    def __init__(self, name: str, type: types.TypeEngine[Any]) -> None:
        self._name, self._kind = name, Kinds(FRAMES).of(type)
        is_binary = isinstance(type, types.LargeBinary)
        unknown = pa.null() if isinstance(type, types.NullType) else pa.string()
        self.type = pa.binary() if is_binary else self._kind.takes or unknown
        #: What Arrow reads by itself as the kind does; of decimals it may drop digits.
        self._is_read_by_arrow = not is_binary and not pa.types.is_decimal(self.type)

    def values(self, texts: pa.Array, first: int) -> pa.Array:
        """The values of cells.

        Args:
            texts: of the cells.
            first: the number of the first one's row.

        Raises:
            JobRefused: the type has no such value.
        """
        if self.type == pa.string():
            return texts
        if self.type == pa.null():
            return pa.nulls(len(texts))
        if self._is_read_by_arrow:
            try:
                return texts.cast(self.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                pass  # the kind reads more, and says what is wrong
        converted = self._kind.convert(texts)
        if converted.bad and pa.types.is_decimal(self.type):
            converted = self._kind.convert(_without_noise(texts, converted.bad, self.type.scale))
        if converted.bad:
            index, reason = converted.bad[0]
            raise _refused(self._name, first + index, reason)
        return converted.values


def _without_noise(texts: pa.Array, bad: list[tuple[int, str]], scale: int) -> pa.Array:
    """Decimals that SQLite keeps as floats, which are next to what they mean: 13.750000000000002 is 13.75."""
    cells = texts.to_pylist()
    for index, _ in bad:
        if _NUMBER.fullmatch(cells[index]):
            rounded = f"{Decimal(cells[index]):.{scale}f}"
            if math.isclose(float(rounded), float(cells[index]), rel_tol=NOISE):
                cells[index] = rounded
    return pa.array(cells, pa.string())


class _Lists:
    """Makes the texts of a column of arrays lists of values."""

    def __init__(self, name: str, element: types.TypeEngine[Any]) -> None:
        self._name, self._elements = name, _Cells(name, element)
        self.type = pa.list_(self._elements.type)

    def values(self, texts: pa.Array, first: int) -> pa.Array:
        """The values of cells, see ``_Cells``."""
        found = [self.split(text, first + index) for index, text in enumerate(texts.to_pylist())]
        flat = pa.array([element for cell in found for element in cell or ()], pa.string())
        owners = np.repeat(np.arange(len(found)), [len(cell or ()) for cell in found])
        try:
            values = self._elements.values(flat, 0)
        except JobRefused:
            for place, owner in enumerate(owners):  # to name the row
                self._elements.values(flat.slice(place, 1), first + int(owner))
            raise
        offsets = np.concatenate([[0], np.cumsum([len(cell or ()) for cell in found])]).astype(np.int32)
        are_null = pa.array([cell is None for cell in found], pa.bool_())
        return pa.ListArray.from_arrays(pa.array(offsets), values, mask=are_null)

    def split(self, text: str | None, row: int) -> list[str | None] | None:
        """The elements of an array, as JSON or as PostgreSQL writes it."""
        if text is None:
            return None
        if text.startswith('"') or (text.startswith("[") and not _BOUNDS.match(text)):
            parsed = json.loads(text, **_AS_TEXT)
            if isinstance(parsed, list):
                return [self._element(element, row) for element in parsed]
            text = parsed
        inside = _BOUNDS.sub("", str(text))[1:-1]
        if inside.startswith("{"):
            raise self._nested(row)
        return [
            _ESCAPED.sub(r"\1", found[1]) if found[2] is None else (None if found[2] == "NULL" else found[2])
            for found in _ELEMENT.finditer(inside)
        ]

    def _element(self, element: Any, row: int) -> str | None:
        if isinstance(element, list):
            raise self._nested(row)
        if element is None or isinstance(element, str):
            return element
        return json.dumps(element, ensure_ascii=False)

    def _nested(self, row: int) -> JobRefused:
        return _refused(self._name, row, "it is an array of arrays")


def _cells_of(name: str, type: types.TypeEngine[Any]) -> _Cells | _Lists:
    return _Lists(name, type.item_type) if isinstance(type, types.ARRAY) else _Cells(name, type)


def _refused(name: str, row: int, reason: str) -> JobRefused:
    return JobRefused(
        f"column {name} has a value in row {row} that a frame cannot hold as its type: {reason}; "
        "cast the column to text in a query, or leave it out"
    )
