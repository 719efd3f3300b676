"""The rows that a strategy in pandas makes of those of a table or a query, for a file of any format."""

import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.formats.csv_writing import copy_by_arrow
from batch_jobs.strategies.tables.formats.format import Format, Rows
from batch_jobs.strategies.tables.frames.cell_text import cell_text
from batch_jobs.strategies.tables.frames.input_types import SCALE
from batch_jobs.strategies.tables.frames.made_types import MadeColumn, made_column, usual
from batch_jobs.strategies.tables.frames.making import arrow_of
from batch_jobs.strategies.tables.frames.pages import Page
from batch_jobs.strategies.tables.frames.rows import frame_of
from batch_jobs.strategies.tables.selecting import SelectedColumn, Selection

#: The name of a frame's index, which has the numbers of the rows; no column is likely to be called so.
INDEX = "row of the result"

#: Makes one frame of another; gets which rows that has, for an error.
Make = Callable[[pd.DataFrame, str], pd.DataFrame]


@dataclass
class Outcome:
    """How many rows were read, of how many of them nothing was made, and how many were made beside one for each."""

    read: int = 0
    left_out: int = 0
    added: int = 0


class MadeSource:
    """Gives the rows that are made of pages, as any source of an export does.

    Args:
        pages: of the rows of the database.
        selected: their columns.
        make: what makes a frame of theirs.
        format: of the file: values or text, as it takes them.
        done: gets the number of rows of each page of which others were made.
    """

    def __init__(
        self,
        pages: Generator[Page],
        selected: list[SelectedColumn],
        make: Make,
        format: Format,
        done: Callable[[int], None],
    ) -> None:
        self._make, self._format, self._done = make, format, done
        self._selected = {column.name: column for column in selected}
        self._columns: dict[str, MadeColumn] = {}
        self.outcome = Outcome()
        self._making = self._made_of(pages)
        self._tables: Iterator[pa.Table] = chain([next(self._making)], self._making)

    @property
    def columns(self) -> list[SelectedColumn]:
        """What is made, as the first page has it."""
        return [column.selected for column in self._columns.values()]

    def batches(self, connection: Connection, selection: Selection, nested: bool = False) -> Iterator[pa.Table]:
        """The rows that were not given yet; values where the format takes such."""
        yield from (table for table in self._tables if table.num_rows)

    def copy_csv(
        self, connection: Connection, selection: Selection, delimiter: str, neutralise: bool, stream: BinaryIO
    ) -> Iterator[int]:
        """Write the rows as CSV made by Arrow."""
        return copy_by_arrow(self.batches(connection, selection), self.columns, delimiter, neutralise, stream)

    def has_more_than(self, number: int) -> bool:
        """Whether more rows than so many are made; they are kept on the disk until they are given."""
        held = tempfile.TemporaryFile()  # noqa: SIM115  # closed when all of it was read
        first, count = next(self._tables), 0
        with pa.ipc.new_stream(held, first.schema) as stream:
            for table in chain([first], self._tables):
                stream.write_table(table)
                count += table.num_rows
                if count > number:
                    break
        self._tables = chain(_read(held), self._tables)
        return count > number

    def close(self) -> None:
        """End the reading: one that is left half done would block the connection."""
        self._making.close()

    def _made_of(self, pages: Generator[Page]) -> Generator[pa.Table]:
        with closing(pages):
            for page in pages:
                given = _Given(page)
                made = self._make(given.frame, page.place)
                places = given.places(made.index)
                yield self._table(given, made, places)
                self._count(places, page.typed.num_rows)
                self._done(page.typed.num_rows)

    def _table(self, given: "_Given", made: pd.DataFrame, places: "Places") -> pa.Table:
        names = _names(made)
        self._refuse_other_columns(names, given.page.place)
        series = {name: made.iloc[:, names.index(name)] for name in list(self._columns) or names}
        return pa.table({name: self._cells(given, name, column, places) for name, column in series.items()})

    def _cells(self, given: "_Given", name: str, series: "pd.Series[Any]", places: "Places") -> pa.Array:
        """A column as the file takes it."""
        texts = None if self._format.takes_values else given.texts_of(name, series, places)
        if texts is not None and name in self._columns:
            return texts
        values = usual(name, arrow_of(series, name))
        if name not in self._columns:
            selected = self._selected.get(name) if given.has_type(name, values.type) else None
            is_inferred = not isinstance(series.dtype, pd.ArrowDtype)
            self._columns[name] = made_column(name, values, is_inferred, selected, self._format.takes_values)
        column = self._columns[name]
        column.refuse_other(values, given.page.place)
        if self._format.takes_values:
            return column.cast(values, given.page.place)
        return given.written(name, values, places, self._format.nests) if texts is None else texts

    def _refuse_other_columns(self, names: list[str], place: str) -> None:
        if self._columns and set(names) != set(self._columns):
            raise JobRefused(
                f"transform made the columns {shown(list(self._columns))} at first, and of {place} it made "
                f"{shown(names)}; return the same ones each time"
            )

    def _count(self, places: "Places", read: int) -> None:
        known = np.unique(places[places >= 0]).size
        kept = known or min(read, len(places))  # without their index, all that were made are taken for those that were
        self.outcome.read += read
        self.outcome.left_out += read - kept
        self.outcome.added += len(places) - kept


Places = npt.NDArray[np.int64]


class _Given:
    """The rows of a page as a frame, and what of them is in another frame."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._index = pd.RangeIndex(page.first, page.first + page.typed.num_rows, name=INDEX)
        self.frame = frame_of(page.typed, np.asarray(self._index)).set_axis(self._index)
        self._chunks = {name: _chunks(self.frame[name]) for name in page.typed.column_names}

    def places(self, index: pd.Index) -> Places:
        """The rows that an index means, by their places in the page; -1 where it means none."""
        if index.name != INDEX or not pd.api.types.is_integer_dtype(index.dtype):
            return np.full(len(index), -1)
        places = np.asarray(index, np.int64) - self.page.first
        return np.where((places >= 0) & (places < len(self._index)), places, -1)

    def has_type(self, name: str, type: pa.DataType) -> bool:
        """Whether a column of this name was given, of this type."""
        return name in self._chunks and self.page.typed.schema.field(name).type == type

    def texts_of(self, name: str, series: "pd.Series[Any]", places: Places) -> pa.Array | None:
        """The text of a column that is just as it was given; ``None`` where it is not."""
        if name not in self._chunks or _chunks(series) is not self._chunks[name]:
            return None
        if len(places) != len(self._index) or not bool((places == np.arange(len(places))).all()):
            return None
        return self.page.texts.column(name).combine_chunks()

    def written(self, name: str, values: pa.Array, places: Places, nested: bool) -> pa.Array:
        """Values as text: that of the database where they are its own."""
        scale = self._scale(name, values.type)
        if not self.has_type(name, values.type):
            return _text(name, values, nested, self.page.place, scale)
        at = pa.array(places, mask=places < 0)
        texts = self.page.texts.column(name).combine_chunks().take(at)
        are_own = _are_same(self.page.typed.column(name).combine_chunks().take(at), values)
        if pc.all(are_own).as_py() is not False:
            return texts
        return pc.if_else(are_own, texts, _text(name, values, nested, self.page.place, scale))

    def _scale(self, name: str, type: pa.DataType) -> int:
        """How many decimals a decimal is written with, though they are zeros: after a division, as many as before."""
        if not pa.types.is_decimal(type):
            return 0
        given = self.page.typed.schema.field(name).type if name in self._chunks else pa.null()
        before = given.scale if pa.types.is_decimal(given) else 0
        return int(type.scale if type.scale <= SCALE else before)


def _chunks(series: "pd.Series[Any]") -> Any:
    """Arrow's own object behind a column, ``None`` where there is none."""
    return series.array.__arrow_array__() if isinstance(series.dtype, pd.ArrowDtype) else None


def _are_same(left: pa.Array, right: pa.Array) -> pa.Array:
    if pa.types.is_nested(left.type):  # Arrow does not compare them
        return pa.array(
            [one == other for one, other in zip(left.to_pylist(), right.to_pylist(), strict=True)], pa.bool_()
        )
    are_empty = pc.and_(pc.is_null(left), pc.is_null(right))
    return pc.or_(pc.fill_null(pc.equal(left, right), False), are_empty)


def _text(name: str, values: pa.Array, nested: bool, place: str, scale: int) -> pa.Array:
    texts, bad = cell_text(values, nested, scale)
    if bad:
        raise JobRefused(f"the column {name} that transform made of {place} has a value without a text: {bad[0][1]}")
    return texts


def _names(frame: pd.DataFrame) -> list[str]:
    names = [name for name in frame.columns if isinstance(name, str) and name]
    if len(names) < len(frame.columns):
        all_names = shown([str(name) for name in frame.columns])
        raise JobRefused(f"a column of the frame has no text for a name; its columns are: {all_names}")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise JobRefused(f"the frame has two columns {shown(doubled)}; drop one or rename it")
    if not names:
        raise JobRefused("the frame has no columns; return those that are to be exported")
    return names


def _read(held: IO[bytes]) -> Iterator[pa.Table]:
    with held:
        held.seek(0)
        for batch in pa.ipc.open_stream(held):
            yield pa.Table.from_batches([batch])


@dataclass(frozen=True)
class MadeRows(Rows):
    """The rows of an export that are made; only by making them one knows how many there are."""

    def has_more_than(self, number: int) -> bool:
        """Whether there are more rows than so many."""
        assert isinstance(self.source, MadeSource)
        return self.source.has_more_than(number)
