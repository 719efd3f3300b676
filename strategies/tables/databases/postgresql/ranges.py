"""Finding places in the order of a table's rows that cut it into ranges of about as many rows each."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import psycopg
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.database import Database, driver_of
from batch_jobs.strategies.tables.databases.postgresql.keys import unique_keys
from batch_jobs.strategies.tables.ranges import NotCut, Place, RowRange
from batch_jobs.strategies.tables.selecting import Selection

#: Rows that are looked at, whole blocks of them: a range of 50,000 is then some percent wrong.
SAMPLE_ROWS = 20_000
#: What kind of relation it is, whether others inherit from it, and its blocks.
RELATION = """SELECT relkind::text, relhassubclass,
    CASE WHEN relkind IN ('r', 'm') THEN pg_relation_size(oid) / current_setting('block_size')::int END
FROM pg_class WHERE oid = to_regclass(%s)"""
NOT_NULL = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnotnull AND attnum > 0"
#: What can be sampled: tables, partitioned ones, and materialized views.
SAMPLED = ("r", "p", "m")


def find_ranges(
    connection: Connection, database: Database, selection: Selection, rows: int, count: int
) -> list[RowRange]:
    """Cut a table into ranges.

    Args:
        connection: to it.
        database: quotes its names.
        selection: of the whole table.
        rows: how many it has.
        count: how many ranges there should be.

    Raises:
        NotCut: says why that cannot be done so that the ranges make the file of the whole.
    """
    driver = driver_of(connection)
    kind, has_heirs, blocks = driver.execute(RELATION, [selection.source]).fetchone()
    if kind not in SAMPLED:
        raise NotCut(f"{selection.title} is no table")
    if has_heirs and kind == "r":
        raise NotCut(f"other tables inherit from {selection.title}")
    if not selection.order_by:
        return _of_blocks(blocks, count)
    not_null = {name for (name,) in driver.execute(NOT_NULL, [selection.source])}
    _require_unique_order(connection, selection, not_null)
    try:
        return _of_places(driver, database, selection, not_null, min(1.0, SAMPLE_ROWS / max(rows, 1)), count)
    except (psycopg.ProgrammingError, psycopg.NotSupportedError) as error:  # as for a key that is a row itself
        raise NotCut(f"its order cannot be cut: {error.diag.message_primary or error}") from error


def _of_blocks(blocks: int | None, count: int) -> list[RowRange]:
    """By the blocks in which the rows are, which is how the server reads a table without an order."""
    if blocks is None:
        raise NotCut("it has neither an order nor blocks of its own")
    return _between([[str(number * blocks // count)] for number in range(1, count)], is_plain=False)


def _require_unique_order(connection: Connection, selection: Selection, not_null: set[str]) -> None:
    order = set(selection.order_by)
    for key in unique_keys(connection, selection.source):
        if key.columns <= order & not_null and not key.collations:
            return
    raise NotCut("its order does not say which of two rows comes first; have order_by end with the columns of a key")


def _of_places(
    driver: Any, database: Database, selection: Selection, not_null: set[str], share: float, count: int
) -> list[RowRange]:
    sample = _sample(driver, database, selection, share)
    if len(sample) < count:
        sample = _sample(driver, database, selection, 1.0)
    places: list[Place] = []
    for number in range(1, count):
        place = list(sample[number * len(sample) // count]) if sample else None
        if place is not None and place not in places:
            places.append(place)
    is_plain = set(selection.order_by) <= not_null and len(selection.descending) in (0, len(selection.order_by))
    ranges = _between(places, is_plain)
    for one in ranges if places else ():
        driver.execute(f"{one.within(selection, database).select(database)} LIMIT 0")  # whether its values are taken
    return ranges


def _sample(driver: Any, database: Database, selection: Selection, share: float) -> Sequence[Sequence[str | None]]:
    cells = ", ".join(f"source.{database.quoted(name)}::text" for name in selection.order_by)
    source = f"{selection.source} AS source TABLESAMPLE SYSTEM ({100 * share})"
    _, _, order = selection.select(database).rpartition(" ORDER BY ")
    found: Sequence[Sequence[str | None]] = driver.execute(f"SELECT {cells} FROM {source} ORDER BY {order}").fetchall()
    return found


def _between(places: list[Place], is_plain: bool) -> list[RowRange]:
    return [RowRange(after, upto, is_plain) for after, upto in pairwise([None, *places, None])]
