"""Frames that a strategy fetches by itself, from an API or a data set, as the input of an import."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.json_values import require_json
from batch_jobs.strategies.tables.formats.format import Format
from batch_jobs.strategies.tables.formats.reading import Batch, Input, NotAsItBegan, Reader, ReadOptions
from batch_jobs.strategies.tables.frames.making import arrow_of, column_names, made_batch
from batch_jobs.strategies.tables.frames.rows import FrameRows, Make, frame_of
from batch_jobs.strategies.tables.importing.inputs import PlannedFile


@dataclass(frozen=True)
class FrameChunk:
    """Some rows of an input, and a JSON value that says where those after them begin."""

    frame: pd.DataFrame
    cursor: Any


#: Gives the frames after a cursor, ``None`` being the start.
Fetch = Callable[[Any], Iterator[FrameChunk]]


class Fetched(Format):
    """What frames are instead of a file: their values have types."""

    name: ClassVar[str] = "frames"
    suffixes: ClassVar[tuple[str, ...]] = ()
    media_type: ClassVar[str] = ""
    typed: ClassVar[bool] = True

    def reader(self, source: Input, options: ReadOptions) -> Reader:
        """There is no file."""
        raise NotImplementedError


FETCHED = Fetched()


class FrameInputs:
    """In the place of the files of an import.

    Args:
        fetch: gives the frames.
        make: what makes the rows to load of each.
    """

    def __init__(self, fetch: Fetch, make: Make) -> None:
        self._fetch, self._make = fetch, make

    #: Rows that come from no file are not corrected in it.
    found_before: dict[str, Any] | None = None

    def format(self, given: str | None) -> Format:
        """What is known of the values."""
        return FETCHED

    def reader(self, format: Format, context: BaseModel, found: dict[str, Any] | None = None) -> Reader:
        """Open them for reading."""
        return SourceReader(self._fetch, self._make, found)

    def refuse_changed(self, planned: Sequence[PlannedFile]) -> None:
        """Nothing tells whether they are those that were looked at."""

    def look_at(self, total: int | None) -> list[PlannedFile]:
        """There are no files."""
        return []


class SourceReader(Reader):
    """Reads frames; a line is a row's number, from 1.

    A column has one type in all frames: that of the first one, until another one shows that it has to be wider.

    Args:
        fetch: gives the frames.
        make: what makes the rows to load of each.
        found: what an earlier reader found.
    """

    uncut = "what a strategy fetches is read from its beginning"

    def __init__(self, fetch: Fetch, make: Make, found: dict[str, Any] | None = None) -> None:
        self._fetch, self._make = fetch, make
        self.described = {"format": FETCHED.name}
        self._is_settled = found is not None
        self.made: dict[str, pa.DataType] = {}
        if found is None:
            self._schema = self._first_schema()
            self._open()
        else:
            self._schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(found["schema"])))
            self.columns = found["columns"]

    @property
    def found(self) -> dict[str, Any] | None:
        """The types of the frames' columns, and what is made of them."""
        return {"schema": self._schema.serialize().to_pybytes().hex(), "columns": self.columns}

    @property
    def input_columns(self) -> list[str]:
        """The columns of the frames that are fetched."""
        return list(self._schema.names)

    def settle(self) -> None:
        """Look at all frames for types that hold every value."""
        schema = self._schema
        for chunk in self._fetch(None):
            schema = _widened(schema, _table_of(chunk.frame).schema)
        self._schema, self._is_settled = schema, True
        self._open()

    def batches(self, start: dict[str, Any] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""
        row, after = (start["row"], start["after"]) if start else (0, None)
        for chunk in self._fetch(after):
            require_json(chunk.cursor, "the cursor of a frame")
            table = self._typed(_table_of(chunk.frame))
            yield self._made(table, row, after)
            row, after = row + table.num_rows, chunk.cursor
        self._is_settled = self._is_settled or start is None

    def _first_schema(self) -> pa.Schema:
        first = next(iter(self._fetch(None)), None)
        if first is None:
            raise JobRefused("frames gave no frame; where there are no rows, yield one that has the columns")
        return _table_of(first.frame).schema

    def _open(self) -> None:
        """Make rows of none, for the columns of what is made."""
        self.columns = []
        made = self._made(self._schema.empty_table(), 0, None)
        self.columns = made.table.column_names
        self.made = {name: made.table.column(name).type for name in made.made}
        self.types = self.made | {name: values.type for name, values in made.values.items()}

    def _typed(self, table: pa.Table) -> pa.Table:
        if table.schema.equals(self._schema):
            return table
        if not self._is_settled:
            widened = _widened(self._schema, table.schema)
            if not widened.equals(self._schema):
                self._schema = widened
                raise NotAsItBegan
        try:
            return table.select(self._schema.names).cast(self._schema)
        except (pa.ArrowInvalid, KeyError) as error:
            reason = " ".join(str(error).split())
            raise JobRefused(f"frames gave other columns or types than before: {reason}") from None

    def _made(self, table: pa.Table, row: int, after: Any) -> Batch:
        lines = np.arange(row + 1, row + 1 + table.num_rows)
        batch = Batch(table, pa.array(lines, pa.int64()), [], {"row": row, "after": after})
        frame = frame_of(table, lines)
        rows = FrameRows(table, lines, frame)
        return made_batch(batch, None, rows, self._make(frame, rows), self.columns)


def _table_of(frame: pd.DataFrame) -> pa.Table:
    names = column_names(frame)
    return pa.table({name: arrow_of(series, name) for name, (_, series) in zip(names, frame.items(), strict=True)})


def _widened(first: pa.Schema, second: pa.Schema) -> pa.Schema:
    try:
        return pa.unify_schemas([first, second], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        reason = " ".join(str(error).split())
        raise JobRefused(f"frames gave a column of several types: {reason}") from None
