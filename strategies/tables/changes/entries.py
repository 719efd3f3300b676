"""Changes as people are shown them: of each row each column that changed, as texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.change_log import Kind
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, KEY, LINE, ChangedRows, as_text
from batch_jobs.strategies.tables.changes.hiding import has_hidden
from batch_jobs.strategies.tables.changes.stored import is_mixed
from batch_jobs.strategies.tables.formats.arrow_text import as_text as value_as_text

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

#: What is shown in the place of a value that is not kept.
HIDDEN = "(hidden)"


@dataclass(frozen=True)
class Entry:
    """A column of a row that changed; ``column`` is ``None`` for a row without a value that came or went.

    ``line`` is where the row is in the input, if it comes from there; numbers go on from one file to the next, see
    ``sdk.lines``.
    """

    table: str
    kind: Kind
    key: dict[str, str | None]
    line: int | None
    column: str | None
    before: str | None
    after: str | None


def changed_cells(changed: ChangedRows) -> Mask:
    """Which columns of each row changed, as ``changed.columns`` has them, and in a last one whether none did."""
    masks = [changed.changed(column) for column in changed.columns]
    of_columns = np.column_stack(masks) if masks else np.zeros((len(changed), 0), dtype=np.bool_)
    return np.column_stack([of_columns, ~of_columns.any(axis=1)])


def places_of(changed: ChangedRows, limit: int | None = None) -> tuple[Places, Places]:
    """The rows and columns of the changed cells, row by row: all of them, or the first."""
    rows, columns = np.nonzero(changed_cells(changed))
    return rows[:limit], columns[:limit]


def entries_of(changed: ChangedRows, rows: Places, columns: Places) -> list[Entry]:
    """The entries at these places: rows in ascending order, and of each a column as ``changed_cells`` has it."""
    wanted, places = np.unique(rows, return_inverse=True)
    part = changed.rows.take(pa.array(wanted))
    keys = [dict(zip(changed.key, texts, strict=True)) for texts in _keys(changed.key, part)]
    lines = part.column(LINE).to_pylist() if LINE in part.column_names else [None] * len(wanted)
    names = [*changed.columns, None]
    befores, afters = ({name: _side(part, mark, name) for name in _named(names, columns)} for mark in (BEFORE, AFTER))
    found: list[Entry] = []
    for place, column in zip(places.tolist(), columns.tolist(), strict=True):
        name = names[column]
        before, after = befores[name][place], afters[name][place]
        found.append(Entry(changed.table, changed.kind, keys[place], lines[place], name, before, after))
    return found


def shown(field: pa.Field, column: pa.ChunkedArray) -> list[str | None]:
    """The cells of a column of a block as people are shown them."""
    if has_hidden(field):
        return [cell and HIDDEN for cell in column.to_pylist()]
    if is_mixed(field) or pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return list(as_text(column, field).to_pylist())
    texts, _ = value_as_text(column.combine_chunks())
    if pa.types.is_timestamp(column.type) or pa.types.is_time(column.type):
        texts = pc.replace_substring_regex(texts, r"\.0+(\+|$)|(\.\d*?[1-9])0+(\+|$)", r"\1\2\3")
    return list(texts.to_pylist())


def _named(names: Sequence[str | None], columns: Places) -> list[str | None]:
    return [names[column] for column in np.unique(columns).tolist()]


def _keys(key: Sequence[str], rows: pa.Table) -> Sequence[Sequence[str | None]]:
    if not key:
        return [()] * len(rows)
    return list(zip(*(cells(rows, KEY + name) for name in key), strict=True))


def _side(rows: pa.Table, mark: str, name: str | None) -> list[str | None]:
    if name is None or mark + name not in rows.column_names:
        return [None] * len(rows)
    return cells(rows, mark + name)


def cells(rows: pa.Table, name: str) -> list[str | None]:
    """The cells of a column of a block, by its name, as people are shown them."""
    return shown(rows.schema.field(name), rows.column(name))
