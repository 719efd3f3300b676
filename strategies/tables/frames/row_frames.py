"""A table's rows as frames: of which types their columns are, and that what comes back is about the same rows."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Engine, Table, types
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.sdk.database import Database, database_of, driver_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.databases.loading import Destination
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.formats.arrow_text import as_text
from batch_jobs.strategies.tables.formats.reading import Batch
from batch_jobs.strategies.tables.frames.digits import PRECISION
from batch_jobs.strategies.tables.frames.fitting import refuse_unfit, refuse_without_key
from batch_jobs.strategies.tables.frames.frame_reader import made_of
from batch_jobs.strategies.tables.frames.input_types import input_table
from batch_jobs.strategies.tables.frames.making import arrow_of
from batch_jobs.strategies.tables.frames.rows import LINE, FrameRows, Lines
from batch_jobs.strategies.tables.frames.schema import checked_by
from batch_jobs.strategies.tables.frames.transforming import transformed
from batch_jobs.strategies.tables.importing.families import Decision
from batch_jobs.strategies.tables.importing.keys import Mask
from batch_jobs.strategies.tables.importing.plan import ColumnToCreate
from batch_jobs.strategies.tables.values.arrays import LARGEST_PRECISION
from batch_jobs.strategies.tables.values.converting import Converter
from batch_jobs.strategies.tables.values.kinds import INTEGER_BITS

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.frames.frame_update import FrameUpdate

#: By column, how many digits its decimal numbers have before their point, and behind it.
Digits = dict[str, tuple[int, int]]

#: A column's type -> that of its values in a frame, the special before the general; of others a frame has the text.
HELD: list[tuple[type[TypeEngine[Any]], Callable[[Any], TypeEngine[Any]]]] = [
    (types.Boolean, lambda type: types.Boolean()),
    (types.SmallInteger, lambda type: types.SmallInteger()),
    (types.BigInteger, lambda type: types.BigInteger()),
    (types.Integer, lambda type: types.Integer()),
    (types.Float, lambda type: types.Double()),
    (types.Numeric, lambda type: _decimal(type.precision, type.scale or 0)),
    (types.DateTime, lambda type: types.DateTime(timezone=bool(type.timezone))),
    (types.Date, lambda type: types.Date()),
    (types.Time, lambda type: types.Text() if type.timezone else types.Time()),
    (types.LargeBinary, lambda type: types.LargeBinary()),
]


def frame_columns(engine: Engine, table: Table, columns: Sequence[str]) -> list[ColumnToCreate]:
    """As what columns of a table are in frames: in each page the same."""
    database = database_of(engine)
    digits = _count_digits(engine, table, [name for name in columns if _is_unlimited(table.columns[name].type)])
    held = {name: _held(database, table.columns[name].type, digits.get(name, (0, 0))) for name in columns}
    return [
        ColumnToCreate.decided(name, Decision(type, f"the column is {table.columns[name].type}"))
        for name, type in held.items()
    ]


def _count_digits(engine: Engine, table: Table, columns: list[str]) -> Digits:
    """The digits of all decimal numbers of columns that hold any number of them: a frame holds only so many."""
    database = database_of(engine)
    if not columns or not database.has_decimals:
        return {}
    cells = [f"CAST(abs({database.quoted(name)}) AS TEXT)" for name in columns]
    point = "position('.' IN {0})"
    whole = f"max(CASE WHEN {point} > 0 THEN {point} - 1 ELSE char_length({{0}}) END)"
    behind = f"max(CASE WHEN {point} > 0 THEN char_length({{0}}) - {point} ELSE 0 END)"
    sums = ", ".join(part.format(cell) for cell in cells for part in (whole, behind))
    with engine.begin() as connection:
        found = driver_of(connection).execute(f"SELECT {sums} FROM {database.quoted_table(table)}").fetchone()
    digits = [number or 0 for number in found]
    return dict(zip(columns, zip(digits[0::2], digits[1::2], strict=True), strict=True))


def _held(database: Database, type: TypeEngine[Any], digits: tuple[int, int]) -> TypeEngine[Any]:
    type = _base(type)
    if isinstance(type, types.Integer) and database.integer_bits > INTEGER_BITS:
        return types.BigInteger()  # it heeds no width that a column says
    if _is_unlimited(type) and not database.has_decimals:
        return types.Double()
    if _is_unlimited(type):
        whole, behind = digits
        return _decimal(PRECISION if whole + behind <= PRECISION else max(whole + behind, LARGEST_PRECISION), behind)
    return next((held(type) for known, held in HELD if isinstance(type, known)), types.Text())


def _decimal(precision: int, scale: int) -> TypeEngine[Any]:
    return types.Numeric(precision, scale) if 0 <= scale <= precision <= LARGEST_PRECISION else types.Text()


def _is_unlimited(type: TypeEngine[Any]) -> bool:
    type = _base(type)
    return isinstance(type, types.Numeric) and not isinstance(type, types.Float) and type.precision is None


def _base(type: TypeEngine[Any]) -> TypeEngine[Any]:
    return _base(type.data_type) if isinstance(type, DOMAIN) else type


class RowFrames:
    """What a strategy makes of a table's rows.

    Args:
        strategy: has ``transform``.
        job: is given to it.
        read: the table, its key, and the columns to read.
        columns: what these are in frames.
    """

    def __init__(
        self, strategy: "FrameUpdate", job: JobRun, read: Destination, columns: Sequence[ColumnToCreate]
    ) -> None:
        self._strategy, self._job, self._read = strategy, job, read
        # in no database: what only some of them hold, such as a day without end, has no place in a frame
        table, own = input_table(list(columns)), {column.name: column.name for column in columns}
        self._types = Converter(table, own, [], restores=False)

    def made(self, cells: pa.Table, before: int) -> Batch:
        """What is made of rows of text; ``before`` is how many rows of the table come before them.

        Raises:
            JobRefused: it does not fit the table, or is not about the same rows.
        """
        strategy, given = self._strategy, GivenRows(self._read.key)
        place = f"{self._read.table.fullname} in the order of {shown(self._read.key)}"

        def make(frame: pd.DataFrame, rows: FrameRows) -> pd.DataFrame:
            given.take(frame)
            made = transformed(strategy, strategy.transform, frame, rows, self._job, place)
            return checked_by(strategy.schema, given.by_line(made), rows)

        lines = pa.array(np.arange(before + 1, before + 1 + cells.num_rows), pa.int64())
        batch = made_of(self._types.check(Batch(cells, lines, [], {})), make)
        made = {name: batch.table.column(name).type for name in batch.made}
        refuse_unfit(batch.table.column_names, made, self._read.table, self._read.key, self._read.mode)
        return given.without_unchanged(batch)


class GivenRows:
    """The rows of a frame, kept before an author may change it.

    Args:
        key: the names of the columns that tell the rows apart.
    """

    def __init__(self, key: Sequence[str]) -> None:
        self._key = list(key)

    def take(self, frame: pd.DataFrame) -> None:
        """Keep its rows."""
        self._lines: pd.Index = frame.index
        self._columns = {str(name): arrow_of(series, str(name)) for name, series in frame.items()}
        self._cells = [self._columns[name] for name in self._key]

    def by_line(self, made: pd.DataFrame) -> pd.DataFrame:
        """What was made of the rows, indexed by their lines whatever was done with the index.

        Raises:
            JobRefused: the key is missing, is none of those given, or is there twice.
        """
        if not made.columns.is_unique:
            return made  # which is refused for that
        names = [str(name) for name in made.columns]
        refuse_without_key(names, self._key)
        if len(names) == len(self._key):
            raise JobRefused(f"transform returns nothing but the key {shown(names)}; return what is to be written too")
        cells = [
            _as(arrow_of(made[name], name), given.type) for name, given in zip(self._key, self._cells, strict=True)
        ]
        places = self._places(made.index, cells)
        doubled = pd.Index(places).duplicated()
        if doubled.any():
            key = self._shown(cells, int(np.argmax(doubled)))
            raise JobRefused(f"transform returns the row with the key {key} twice; return each row once")
        made.index = self._lines.take(places)
        return made

    def without_unchanged(self, batch: Batch) -> Batch:
        """What was made of the rows, in which what is as it was is marked to be left: it is not to be written anew."""
        places = pa.array(np.searchsorted(self._lines.to_numpy(), batch.lines.to_numpy()))
        names = [name for name in batch.table.column_names if name not in self._key]
        same = {
            name: _same(self._columns[name].take(places), batch.values.get(name, batch.table.column(name)))
            for name in names
            if name in self._columns
        }
        is_same = np.logical_and.reduce([*same.values(), np.full(len(places), len(same) == len(names))])
        # rows and columns, not cells: each pattern of cells to leave is written by itself
        absent = {name: pa.array(is_same | mask.all()) for name, mask in same.items()}
        return replace(batch, absent=absent)

    def _places(self, index: pd.Index, cells: list[pa.Array]) -> Lines:
        """Which of the rows given they are: by their lines, where these are still there, or else by their keys."""
        if index.name == LINE and pd.api.types.is_integer_dtype(index.dtype):
            places = np.asarray(self._lines.get_indexer(index.astype("int64")), np.int64)
            if (places >= 0).all():
                self._refuse_changed(places, cells)
                return places
        known = {key: place for place, key in enumerate(_texts(self._cells))}
        found = np.array([known.get(key, -1) for key in _texts(cells)], np.int64)
        if (found < 0).any():
            key = self._shown(cells, int(np.argmax(found < 0)))
            raise JobRefused(
                f"transform returns a row with the key {key}, which is none of those it was given; "
                "keys stay as they are, and rows are not added"
            )
        return found

    def _refuse_changed(self, places: Lines, cells: list[pa.Array]) -> None:
        before = [given.take(pa.array(places)) for given in self._cells]
        same = np.ones(len(places), np.bool_)
        for given, cell in zip(before, cells, strict=True):
            left, right = (given, cell) if given.type == cell.type else (as_text(given)[0], as_text(cell)[0])
            same &= pc.fill_null(pc.equal(left, right), False).to_numpy(zero_copy_only=False)
        if not same.all():
            place = int(np.argmin(same))
            raise JobRefused(
                f"transform changes the key {self._shown(before, place)} to {self._shown(cells, place)}; "
                "keys stay as they are"
            )

    def _shown(self, cells: list[pa.Array], place: int) -> str:
        (texts,) = _texts([cell.slice(place, 1) for cell in cells])
        return ", ".join(f"{name}={text}" for name, text in zip(self._key, texts, strict=True))


def _same(before: pa.Array, after: pa.Array | pa.ChunkedArray) -> Mask:
    """Which cells are as they were; where that cannot be seen none is said to be."""
    cells = after.combine_chunks() if isinstance(after, pa.ChunkedArray) else after
    if before.type != cells.type and not all(pa.types.is_integer(type) for type in (before.type, cells.type)):
        return np.zeros(len(before), np.bool_)
    are_empty = pc.and_(pc.is_null(before), pc.is_null(cells))
    same: Mask = pc.or_(are_empty, pc.fill_null(pc.equal(before, cells), False)).to_numpy(zero_copy_only=False)
    return same


def _as(cells: pa.Array, type: pa.DataType) -> pa.Array:
    """Cells of the type, where all of them can be."""
    try:
        return cells.cast(type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return cells


def _texts(cells: list[pa.Array]) -> list[tuple[str | None, ...]]:
    return list(zip(*(as_text(column)[0].to_pylist() for column in cells), strict=True))
