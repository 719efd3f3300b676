"""Writing a frame into a table in one's own chunk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.change_log import changes_of
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.changes.recording import changed_rows, key_of_log, record
from batch_jobs.strategies.tables.databases.loading import Destination
from batch_jobs.strategies.tables.databases.naming import refuse_unwritable, require_table
from batch_jobs.strategies.tables.formats.reading import Batch
from batch_jobs.strategies.tables.frames.fitting import refuse_unfit
from batch_jobs.strategies.tables.frames.making import arrow_of, column_names
from batch_jobs.strategies.tables.frames.rows import LINE
from batch_jobs.strategies.tables.importing.mapping import choose_key, unique_key
from batch_jobs.strategies.tables.values.converting import Converter


@dataclass(frozen=True)
class Upserted:
    """Rows by what became of them, as ``job.count`` takes them: ``job.count(**vars(upsert(...)))``."""

    created: int
    updated: int
    unchanged: int


def upsert(
    connection: Connection,
    table: str,
    frame: pd.DataFrame,
    key: Sequence[str] = (),
    mode: Literal["append", "insert", "upsert", "update"] = "upsert",
) -> Upserted:
    """Write a frame's rows: new ones are created, those whose key is there get its columns where they differ.

    Args:
        connection: of a chunk, in whose transaction they are written.
        table: the name of a table of the target.
        frame: its columns are some of the table's.
        key: the columns that tell rows apart, by default the primary key.
        mode: ``append`` adds every row; of ``insert`` the keys may not be there, of ``update`` they have to be.

    Returns:
        The rows by what became of them.

    Raises:
        JobRefused: a row cannot go in; nothing of the frame is to be kept then.
    """
    found = require_table(connection.engine, table)
    names = column_names(frame)
    columns = {name: arrow_of(series, name) for name, (_, series) in zip(names, frame.items(), strict=True)}
    refuse_unwritable(connection.engine, found, mode)
    refuse_unfit(names, {name: values.type for name, values in columns.items()}, found, key, mode)
    chosen = choose_key(mode, list(key), found, names)
    collations = unique_key(connection.engine, found, chosen).collations if mode != "append" else {}
    key_columns = chosen if mode != "append" else []
    logged_by = key_of_log(changes_of(connection), found, names, key_columns)
    destination = Destination(found, names, key_columns, mode, collations, logged_by=logged_by)
    rows = _checked(frame, columns, Converter(found, {name: name for name in names}, destination.key, restores=False))
    if not rows.num_rows:
        return Upserted(0, 0, 0)
    loader = database_of(connection).loader(destination)
    loader.begin(connection, last=False)
    written = loader.write(connection, loader.encode(rows))
    refused = [*written.known, *written.unknown]
    if refused:
        there = "already in" if written.known else "not in"
        raise JobRefused(f"the key on {_place(frame, refused[0])} is {there} {found.fullname}, for mode {mode}")
    record(connection, (changed_rows(destination, rows, None, change) for change in written.changes))
    loader.note_numbers(connection, rows)
    return Upserted(written.created, written.updated, rows.num_rows - written.created - written.updated)


def _checked(frame: pd.DataFrame, columns: dict[str, pa.Array], converter: Converter) -> pa.Table:
    numbers = pa.array(np.arange(len(frame)), pa.int64())
    checked = converter.check(Batch(pa.table(columns), numbers, [], {}, made=frozenset(columns)))
    if checked.rejects:
        first = checked.rejects[0]
        raise JobRefused(f"{first.reason}, on {_place(frame, first.line)}")
    doubled = frame.duplicated(checked.key).to_numpy() if checked.key else np.zeros(len(frame), bool)
    if doubled.any():
        key = checked.key_text(int(np.flatnonzero(doubled)[0]))
        raise JobRefused(f"two rows of the frame have the key {key}; drop one before it is written")
    return checked.rows


def _place(frame: pd.DataFrame, row: int) -> str:
    label = frame.index[row]
    return f"line {label}" if frame.index.name == LINE else f"row {label} of the frame"
