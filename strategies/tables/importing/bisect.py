"""Finding the rows that the database refuses, and having all others go in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.tables.databases.savepoint import savepoint

T = TypeVar("T")

#: How often rows that may wait for others are tried again, each time from the other end.
PASSES = 8


@dataclass(frozen=True)
class Part(Generic[T]):
    """Rows from ``start`` on that were taken, and what the action said of them."""

    start: int
    rows: int
    outcome: T


@dataclass(frozen=True)
class RefusedRow:
    """A row that the database refuses, and its reason."""

    index: int
    message: str


def bisect(
    connection: Connection, rows: pa.Table, action: Callable[[pa.Table], T], start: int = 0
) -> tuple[list[Part[T]], list[RefusedRow]]:
    """Apply the action to the rows; where it is refused, to each half, down to the single rows that are to blame.

    Args:
        connection: in whose transaction the action writes; each try is a savepoint.
        rows: what to apply it to.
        action: raises what ``is_about_a_row`` when a row is refused.
        start: the index that the first row is reported with.
    """
    database = database_of(connection)
    try:
        with savepoint(connection):
            outcome = action(rows)
    except Exception as error:
        if not database.is_about_a_row(error):
            raise
        if rows.num_rows == 1:
            return [], [RefusedRow(start, database.refusal(error))]
        return _halves(connection, rows, action, start)
    return [Part(start, rows.num_rows, outcome)], []


def bisect_in_any_order(
    connection: Connection, rows: pa.Table, action: Callable[[pa.Table], T]
) -> tuple[list[Part[T]], list[RefusedRow]]:
    """As ``bisect``, of rows that may refer to each other: those that are refused are tried again after the others."""
    parts, refused = bisect(connection, rows, action)
    found = parts
    for _ in range(PASSES):
        if not found or not refused:
            break
        found, waiting = [], refused[::-1]
        refused = []
        for row in waiting:
            more, bad = bisect(connection, rows.slice(row.index, 1), action, row.index)
            found, refused = found + more, refused + bad
        parts = parts + found
    return parts, sorted(refused, key=lambda row: row.index)


def _halves(
    connection: Connection, rows: pa.Table, action: Callable[[pa.Table], T], start: int
) -> tuple[list[Part[T]], list[RefusedRow]]:
    middle = rows.num_rows // 2
    first, bad_first = bisect(connection, rows.slice(0, middle), action, start)
    second, bad_second = bisect(connection, rows.slice(middle), action, start + middle)
    return first + second, bad_first + bad_second
