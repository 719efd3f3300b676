"""How SQLite compares keys, by its own account of the indexes and by the columns' types."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Connection, Table, types

from batch_jobs.strategies.sdk.database import UniqueKey, driver_of

#: Digits up to which different decimal numbers are different floating-point numbers, which is what SQLite keeps.
EXACT_DIGITS = 15


def unique_keys(connection: Connection, table: Table) -> list[UniqueKey]:
    """The unique keys of a table; a primary key that is the rowid has no index."""
    schema = table.schema or "main"
    driver = driver_of(connection)

    def pragma(name: str, argument: str) -> Iterator[tuple[Any, ...]]:
        found: Iterator[tuple[Any, ...]] = driver.execute(
            f"SELECT * FROM pragma_{name}(?, ?)",
            (argument, schema),
        )
        return found

    primary = frozenset(name for _, name, _, _, _, place in pragma("table_info", table.name) if place)
    keys = [UniqueKey(primary, {})] if primary and not _has_index_of(pragma, table.name) else []
    for _, index, is_unique, _, is_partial in pragma("index_list", table.name):
        parts = [(name, collation) for _, _, name, _, collation, is_key in pragma("index_xinfo", index) if is_key]
        if is_unique and not is_partial and all(name is not None for name, _ in parts):
            # the column may have another one, by which it would be compared
            collations = {name: f'"{collation}"' for name, collation in parts if _is_text(table, name)}
            keys.append(UniqueKey(frozenset(name for name, _ in parts), collations))
    return keys


def _is_text(table: Table, name: str) -> bool:
    return isinstance(table.columns[name].type, (types.String, types.NullType))


def _has_index_of(pragma: Any, table: str) -> bool:
    return any(origin == "pk" for _, _, _, origin, _ in pragma("index_list", table))


def distinguishes_by_text(column: Column[Any]) -> bool:
    """Whether values of a column are equal where their usual texts are, and only there."""
    type = column.type
    if isinstance(type, types.Numeric) and not isinstance(type, types.Float):
        return type.precision is not None and type.precision <= EXACT_DIGITS
    return not isinstance(type, types.JSON)
