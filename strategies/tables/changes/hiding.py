"""Columns whose values the log does not keep, but only something by which equal ones are known."""

from dataclasses import replace
from fnmatch import fnmatchcase
from hashlib import blake2b

import pyarrow as pa

from batch_jobs.strategies.sdk.change_log import ChangeOptions
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, ChangedRows, as_text
from batch_jobs.strategies.tables.changes.stored import is_marked
from batch_jobs.strategies.tables.importing.keys import canonical

#: In a field's metadata: its texts are hashes.
HIDDEN = {b"batch_jobs": b"hidden"}


def hidden(changed: ChangedRows, options: ChangeOptions) -> ChangedRows:
    """The rows with hashes in the place of values that the log is not to keep."""
    rows = changed.rows
    for place, name in enumerate(rows.column_names):
        if name[0] in (BEFORE, AFTER) and is_hidden(changed.table, name[1:], options):
            rows = rows.set_column(
                place, pa.field(name, pa.string(), metadata=HIDDEN), hashes(rows.column(name), options)
            )
    return changed if rows is changed.rows else replace(changed, rows=rows)


def is_hidden(table: str, column: str, options: ChangeOptions) -> bool:
    """Whether the values of a column are not kept."""
    names = (column, f"{table}.{column}")
    return any(fnmatchcase(name, pattern) for name in names for pattern in options.hidden)


def hashes(column: pa.ChunkedArray, options: ChangeOptions) -> pa.Array:
    """A hash for each value of a column; null for null."""
    texts = as_text(canonical(column)).to_pylist()
    return pa.array(
        [text and blake2b(text.encode(), digest_size=12, key=options.secret).hexdigest() for text in texts], pa.string()
    )


def has_hidden(field: pa.Field) -> bool:
    """Whether a column of the log has hashes."""
    return is_marked(field, HIDDEN)
