"""Whether a frame can go into a table, by its columns and their types."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy import Table, types

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.databases.loading import UPDATING, is_required
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.formats.reading import Batch

WHOLE, REAL, BOOLEAN, DAY, MOMENT, CLOCK, BYTES, NESTED = (
    "whole", "real", "boolean", "day", "moment", "clock", "bytes", "nested",
)  # fmt: skip
#: A column's type -> what it may be given beside text, the special before the general; of others anything.
TAKEN: list[tuple[type[types.TypeEngine[Any]], frozenset[str]]] = [
    (types.Boolean, frozenset({BOOLEAN, WHOLE})),
    (types.Integer, frozenset({WHOLE})),
    (types.Numeric, frozenset({WHOLE, REAL})),
    (types.DateTime, frozenset({DAY, MOMENT})),
    (types.Date, frozenset({DAY, MOMENT})),
    (types.Time, frozenset({CLOCK})),
    (types.LargeBinary, frozenset({BYTES})),
    (types.ARRAY, frozenset({NESTED})),
    (types.JSON, frozenset({NESTED, WHOLE, REAL, BOOLEAN})),
    (types.String, frozenset({WHOLE, REAL, BOOLEAN, DAY, MOMENT, CLOCK, NESTED})),
]


def refuse_unfit(
    columns: Sequence[str], made: Mapping[str, pa.DataType], table: Table, key: Sequence[str], mode: str
) -> None:
    """Refuse columns that the table lacks or cannot hold without loss, and those without which no row can go in.

    Args:
        columns: of the frame.
        made: the types of those that are not as they were read.
        table: where they go.
        key: that tells rows apart; by default the primary key.
        mode: what happens to rows that are there.

    Raises:
        JobRefused: names all of them.
    """
    unknown = [name for name in columns if name not in table.columns]
    if unknown:
        raise JobRefused(
            f"the frame has {shown(unknown)}, which {table.fullname} does not have; "
            f"there are: {shown(list(table.columns.keys()))}"
        )
    refuse_without_key(columns, key or [column.name for column in table.primary_key if mode != "append"])
    needed = [column.name for column in table.columns if column.name not in columns and is_required(column)]
    if needed and mode not in UPDATING:
        raise JobRefused(f"the frame lacks {shown(needed)}, without which {table.fullname} takes no row")
    wrong = [
        f"{name} is {type} and the column {table.columns[name].type}"
        for name, type in made.items()
        if not _may_hold(table.columns[name].type, type)
    ]
    if wrong:
        raise JobRefused(
            f"the frame has what {table.fullname} cannot hold without loss: {'; '.join(wrong)}; "
            "give it the column's type with astype, such as 'int64[pyarrow]'"
        )


def refuse_without_key(columns: Sequence[str], key: Sequence[str]) -> None:
    """Refuse rows without their key.

    Raises:
        JobRefused: names what is missing.
    """
    missing = [name for name in key if name not in columns]
    if missing:
        raise JobRefused(
            f"the frame lacks {shown(missing)} of the key {shown(list(key))}; it has: {shown(list(columns))}"
        )


def _may_hold(column: types.TypeEngine[Any], type: pa.DataType) -> bool:
    sort = _sort_of(type)
    taken = next((taken for known, taken in TAKEN if isinstance(column, known)), None)
    return sort is None or taken is None or sort in taken


def _sort_of(type: pa.DataType) -> str | None:
    """What sort of values a type has, ``None`` for text and for a column without values."""
    is_whole_decimal = pa.types.is_decimal(type) and type.scale <= 0
    sorts = {
        BOOLEAN: pa.types.is_boolean(type),
        WHOLE: pa.types.is_integer(type) or is_whole_decimal,
        REAL: pa.types.is_floating(type) or pa.types.is_decimal(type),
        DAY: pa.types.is_date(type),
        MOMENT: pa.types.is_timestamp(type),
        CLOCK: pa.types.is_time(type) or pa.types.is_duration(type),
        BYTES: pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_fixed_size_binary(type),
        NESTED: pa.types.is_nested(type),
    }
    return next((sort for sort, is_such in sorts.items() if is_such), None)


def refuse_other_types(made: Mapping[str, pa.DataType], batch: Batch) -> None:
    """Refuse a column of other values than at first: the type of one that is created is that of all its values.

    Raises:
        JobRefused: names it.
    """
    for name, type in made.items():
        now = batch.table.column(name).type
        has_values = not pa.types.is_null(now) and not pa.types.is_null(type)
        if name in batch.made and now != type and has_values:
            first = batch.place(int(batch.lines[0].as_py())) if len(batch.lines) else "no line"
            raise JobRefused(f"the frames have {name} as {type} at first and as {now} from {first} on; use astype")
