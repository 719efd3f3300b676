"""A table's rows as frames: of which types their columns are, and that what comes back is about the same rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, Connection, MetaData, Table, types
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.sdk.database import Database, database_of, driver_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.databases.loading import Destination
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.formats.arrow_text import as_text
from batch_jobs.strategies.tables.formats.reading import Batch
from batch_jobs.strategies.tables.frames.frame_reader import made_of
from batch_jobs.strategies.tables.frames.input_types import PRECISION
from batch_jobs.strategies.tables.frames.making import arrow_of
from batch_jobs.strategies.tables.frames.rows import LINE, FrameRows, Lines
from batch_jobs.strategies.tables.frames.transforming import transformed
from batch_jobs.strategies.tables.values.converting import Converter
from batch_jobs.strategies.tables.values.numbers import LARGEST_PRECISION

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.frames.frame_update import FrameUpdate

#: By column, how many digits decimal numbers have before their point, and behind it.
Digits = dict[str, tuple[int, int]]

#: Types whose values a frame has as they are; what is of another type, it has as its text.
_HELD = (types.Boolean, types.Float, types.Numeric, types.DateTime, types.Date, types.Time, types.LargeBinary)
_NAME = "transform"


def count_digits(connection: Connection, database: Database, table: Table, columns: Sequence[str]) -> Digits:
    """The digits of all decimal numbers of the columns that hold any number of them: frames hold only so many."""
    wanted = [name for name in columns if database.has_decimals and _is_unlimited(_base(table.columns[name].type))]
    if not wanted:
        return {}
    cells = [f"CAST(abs({database.quoted(name)}) AS TEXT)" for name in wanted]
    point = "position('.' IN {0})"
    whole = f"max(CASE WHEN {point} > 0 THEN {point} - 1 ELSE char_length({{0}}) END)"
    behind = f"max(CASE WHEN {point} > 0 THEN char_length({{0}}) - {point} ELSE 0 END)"
    sums = ", ".join(part.format(cell) for cell in cells for part in (whole, behind))
    found = driver_of(connection).execute(f"SELECT {sums} FROM {database.quoted_table(table)}").fetchone()
    digits = [number or 0 for number in found]
    return dict(zip(wanted, zip(digits[0::2], digits[1::2], strict=True), strict=True))


def _held(database: Database, type: TypeEngine[Any], digits: tuple[int, int]) -> TypeEngine[Any]:
    type = _base(type)
    if isinstance(type, types.Integer):
        return types.BigInteger() if database.integer_bits > 32 else type  # it does not heed how wide a column is
    if _is_unlimited(type):
        return _decimal(*digits) if database.has_decimals else types.Double()
    is_zoned_time = isinstance(type, types.Time) and type.timezone
    return type if isinstance(type, _HELD) and not is_zoned_time else types.Text()


def _decimal(whole: int, behind: int) -> TypeEngine[Any]:
    if whole + behind > LARGEST_PRECISION:
        return types.Text()
    return types.Numeric(PRECISION if whole + behind <= PRECISION else LARGEST_PRECISION, behind)


def _is_unlimited(type: TypeEngine[Any]) -> bool:
    return isinstance(type, types.Numeric) and not isinstance(type, types.Float) and type.precision is None


def _base(type: TypeEngine[Any]) -> TypeEngine[Any]:
    return _base(type.data_type) if isinstance(type, DOMAIN) else type


class RowFrames:
    """What a strategy makes of a table's rows.

    Args:
        strategy: has ``transform``.
        job: is given to it.
        read: the table, its key, and the columns to read.
        digits: what ``count_digits`` found.
    """

    def __init__(self, strategy: "FrameUpdate", job: JobRun, read: Destination, digits: Digits) -> None:
        self._strategy, self._job, self._read = strategy, job, read
        database = database_of(job.target)
        wanted = {name: _held(database, read.column(name).type, digits.get(name, (0, 0))) for name in read.columns}
        # in no database: what only some of them hold, such as a day without end, has no place in a frame
        held = Table("rows", MetaData(), *(Column(name, type) for name, type in wanted.items()))
        self._types = Converter(held, {name: name for name in wanted}, [], restores=False)

    def made(self, cells: pa.Table, before: int) -> Batch:
        """What is made of rows of text; ``before`` is how many rows of the table come before them."""
        lines = pa.array(np.arange(before + 1, before + 1 + cells.num_rows), pa.int64())
        return made_of(Batch(cells, lines, [], {}), self._types, self._make)

    def _make(self, frame: pd.DataFrame, rows: FrameRows) -> pd.DataFrame:
        given = GivenRows(self._read.table, self._read.key, frame)
        place = f"{self._read.table.fullname} in the order of {shown(self._read.key)}"
        return given.by_line(transformed(self._strategy, self._strategy.transform, frame, rows, self._job, place))


class GivenRows:
    """The rows of a frame by their keys, kept before an author may change it.

    Args:
        table: whose rows they are.
        key: of the table.
        frame: has the key.
    """

    def __init__(self, table: Table, key: Sequence[str], frame: pd.DataFrame) -> None:
        self._table, self._key = table, list(key)
        self._lines: pd.Index = frame.index
        self._cells = [arrow_of(frame[name], name) for name in key]

    def by_line(self, made: pd.DataFrame) -> pd.DataFrame:
        """What was made of the rows, indexed by their lines whatever was done with the index.

        Raises:
            JobRefused: a column is missing or is none of the table's, a key is none of those given, or is there twice.
        """
        if not made.columns.is_unique:
            return made  # which is refused for that
        self._check_columns([str(name) for name in made.columns])
        cells = [
            _as(arrow_of(made[name], name), given.type) for name, given in zip(self._key, self._cells, strict=True)
        ]
        places = self._places(made.index, cells)
        doubled = pd.Index(places).duplicated()
        if doubled.any():
            key = self._shown(cells, int(np.argmax(doubled)))
            raise JobRefused(f"{_NAME} gave back the row with the key {key} twice; return each row once")
        made.index = self._lines.take(places)
        return made

    def _check_columns(self, names: list[str]) -> None:
        missing = [name for name in self._key if name not in names]
        if missing:
            raise JobRefused(
                f"{_NAME} gave back no column {shown(missing)}, which the key of {self._table.fullname} has; "
                f"it gave: {shown(names)}"
            )
        unknown = [name for name in names if name not in self._table.columns]
        if unknown:
            raise JobRefused(
                f"{_NAME} gave back the column {shown(unknown)}, which {self._table.fullname} does not have; "
                f"it has: {shown(list(self._table.columns.keys()))}"
            )
        if len(names) == len(self._key):
            raise JobRefused(f"{_NAME} gave back nothing but the key {shown(names)}; return what is to be written too")

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
                f"{_NAME} gave back a row with the key {key}, which is none of those it was given; "
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
                f"{_NAME} changed the key {self._shown(before, place)} to {self._shown(cells, place)}; "
                f"keys stay as they are"
            )

    def _shown(self, cells: list[pa.Array], place: int) -> str:
        (texts,) = _texts([cell.slice(place, 1) for cell in cells])
        return ", ".join(f"{name}={text}" for name, text in zip(self._key, texts, strict=True))


def _as(cells: pa.Array, type: pa.DataType) -> pa.Array:
    """Cells of the type, where all of them can be."""
    try:
        return cells.cast(type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return cells


def _texts(cells: list[pa.Array]) -> list[tuple[str | None, ...]]:
    return list(zip(*(as_text(column)[0].to_pylist() for column in cells), strict=True))
