"""The frame that a strategy made of a batch's rows, as a batch again."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.formats.reading import Batch, Origin
from batch_jobs.strategies.tables.frames.rows import FrameRows


def made_batch(
    batch: Batch, typed: pa.Table | None, rows: FrameRows, frame: pd.DataFrame, columns_before: Sequence[str]
) -> Batch:
    """The rows of a frame, in the order of the input's rows that they were made of.

    A column that is as it was given keeps its text too, so that it goes in as without a frame.

    Args:
        batch: the input's rows.
        typed: those of them that the frame was made of; ``None`` where they had no text.
        rows: what is known of them.
        frame: what was made.
        columns_before: those that frames had until now, if there were any.

    Raises:
        JobRefused: the frame is none that can be loaded.
    """
    names = column_names(frame)
    places = rows.places(frame.index)
    is_as_given = len(places) == len(rows.lines) and bool((places == np.arange(len(places))).all())
    if len(places) and not len(rows.lines):
        raise JobRefused("transform made rows where it was given none; return the frame without rows")
    places = np.where(places < 0, len(rows.lines) - 1, places)  # of unknown origin
    order = None if is_as_given or bool((places[1:] >= places[:-1]).all()) else np.argsort(places, kind="stable")
    columns: dict[str, pa.Array] = {}
    values: dict[str, pa.Array] = {}
    for name, series in zip(names, (series for _, series in frame.items()), strict=True):
        column = arrow_of(series, name)
        if typed is not None and is_as_given and name in typed.column_names and _is_same(column, typed.column(name)):
            columns[name], values[name] = batch.table.column(name), column
        else:
            columns[name] = column if order is None else column.take(pa.array(order))
    places = places if order is None else places[order]
    return Batch(
        table=pa.table(columns).select(_in_order(names, columns_before)),
        lines=pa.array(rows.lines[places], pa.int64()),
        bad_rows=batch.bad_rows,
        start=batch.start,
        texts={name: marks for name, marks in batch.texts.items() if name in values},
        absent={name: marks for name, marks in batch.absent.items() if name in values},
        files=batch.files,
        made=frozenset(name for name in names if name not in values),
        values=values,
        origin=Origin(batch.table, rows.lines, places, rows.refused, 0 if is_as_given else _left_out(rows, places)),
    )


def arrow_of(series: "pd.Series[Any]", name: str) -> pa.Array:
    """A column of a frame as Arrow has it, null where there is no value.

    Raises:
        JobRefused: its values are of several types.
    """
    try:
        array = series.array
        found = array.__arrow_array__() if hasattr(array, "__arrow_array__") else pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise JobRefused(f"the column {name} of the frame has values of several types: {reason}") from None
    whole = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    return whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole


def column_names(frame: pd.DataFrame) -> list[str]:
    """The names of a frame's columns.

    Raises:
        JobRefused: one is no text, or two are the same, or there are none.
    """
    names = [name for name in frame.columns if isinstance(name, str) and name]
    if len(names) < len(frame.columns):
        all_names = shown([str(name) for name in frame.columns])
        raise JobRefused(f"a column of the frame has no text for a name; its columns are: {all_names}")
    if len(set(names)) < len(names):
        doubled = sorted({name for name in names if names.count(name) > 1})
        raise JobRefused(f"the frame has two columns {shown(doubled)}; drop one or rename it")
    if not names:
        raise JobRefused("the frame has no columns; return those that are to be loaded")
    return names


def _in_order(names: list[str], before: Sequence[str]) -> list[str]:
    """The columns in the order that they had until now."""
    if before and set(before) != set(names):
        raise JobRefused(
            f"the frames have different columns: {shown(list(before))} at first, and then {shown(names)}; "
            "return the same ones each time"
        )
    return list(before) or names


def _is_same(column: pa.Array, given: pa.ChunkedArray) -> bool:
    """Whether a column is the one that was given, not only equal to it."""
    if given.num_chunks != 1 or column.type != given.type:
        return False
    before = given.chunk(0)
    here, there = ([buffer and buffer.address for buffer in array.buffers()] for array in (column, before))
    return here == there and (len(column), column.offset) == (len(before), before.offset)


def _left_out(rows: FrameRows, places: Any) -> int:
    """How many rows of the input nothing was made of, but for those that were refused."""
    kept = set(rows.lines[places].tolist()) | {reject.line for reject in rows.refused}
    return len(rows.lines) - len(kept)
