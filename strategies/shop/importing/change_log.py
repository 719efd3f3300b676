"""What an import of a shop changes, for the log: the rows of all its tables, those of a product together."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, Connection, Engine, Table, select

from batch_jobs.strategies.sdk.change_log import changes_of
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, KEY, ChangedRows
from batch_jobs.strategies.tables.changes.watching import WatchedRows
from batch_jobs.strategies.tables.databases.naming import require_table

#: Column of the log: the product that a row goes back together with; null of what products have in common.
GROUP = "group"
AT_ONCE = 500


class ShopChanges:
    """Takes what is written to the tables of a shop on a connection, if its chunk keeps changes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._are_kept = changes_of(connection) is not None
        self._changed: list[ChangedRows] = []

    @contextmanager
    def watching(self, written: Iterable[tuple[Table, Any]]) -> Iterator[None]:
        """Note what the block does to rows, of which their key is given, or other columns by which they are found.

        Args:
            written: tables, each with an Arrow table or dicts.
        """
        if not self._are_kept:
            yield
            return
        watched = [self._watch(table, rows) for table, rows in written]
        yield
        for rows in watched:
            self._changed += map(_by_primary_key, rows.changed())

    def rows(self) -> list[ChangedRows]:
        """All that was written, each row with its product."""
        return [] if not self._changed else _Products(self._connection, self._changed).grouped()

    def _watch(self, table: Table, rows: Any) -> WatchedRows:
        found = _as_it_is(self._connection.engine, table.name)
        given = rows.column_names if isinstance(rows, pa.Table) else list(rows[0])
        if "row_id" in given:
            rows, given = [{"id": row["row_id"]} for row in rows], ["id"]
        primary = [column.name for column in found.primary_key]
        return WatchedRows(self._connection, found, rows, primary if primary and set(primary) <= set(given) else given)


@lru_cache(maxsize=256)
def _as_it_is(engine: Engine, table: str) -> Table:
    """A table with all its columns, of which Medusa's own plugins may have added some."""
    return require_table(engine, table)


def _by_primary_key(changed: ChangedRows) -> ChangedRows:
    """The rows, which were found by some columns, under their primary key."""
    key = [column.name for column in tables.metadata.tables[changed.table].primary_key]
    if not key or set(key) == set(changed.key):
        return changed
    side = BEFORE if changed.kind == "removed" else AFTER
    names = [
        (KEY if name[1:] in key else side if name[0] == KEY else name[0]) + name[1:]
        for name in changed.rows.column_names
    ]
    return ChangedRows(changed.table, changed.kind, key, changed.rows.rename_columns(names))


class _Products:
    """Finds the product of each row that was written."""

    def __init__(self, connection: Connection, changed: Sequence[ChangedRows]) -> None:
        self._connection = connection
        self._changed = changed
        self._product_of_variant = self._owners(tables.product_variant, "id", "product_id")
        link = tables.product_variant_money_amount
        self._variant_of_price = self._owners(link, "money_amount_id", "variant_id")
        self._product_of_option = self._owners(tables.product_option, "id", "product_id")

    def grouped(self) -> list[ChangedRows]:
        """The rows, each with its product."""
        return [replace(one, rows=one.rows.append_column(GROUP, self._products(one))) for one in self._changed]

    def _products(self, changed: ChangedRows) -> pa.Array:
        ids = _cells(changed, "id")
        if changed.table == "product":
            return ids
        if changed.table == "money_amount":
            variants = [self._variant_of_price.get(price) for price in ids.to_pylist()]
            return self._of_variants(variants)
        own = _cells(changed, "product_id")
        if changed.table in ("product_variant", "product_option"):
            known = self._product_of_variant if changed.table == "product_variant" else self._product_of_option
            return pa.array([known.get(row) for row in ids.to_pylist()], pa.string())
        if own.null_count < len(own):
            return own
        return self._of_variants(_cells(changed, "variant_id").to_pylist())

    def _of_variants(self, variants: list[Any]) -> pa.Array:
        return pa.array([self._product_of_variant.get(variant) for variant in variants], pa.string())

    def _owners(self, table: Table, name: str, owner: str) -> dict[str, str]:
        """What rows of a table belong to, by one of their columns: as they were written, or as they are."""
        found: dict[str, str] = {}
        wanted: set[str] = set()
        for changed in self._changed:
            if changed.table == table.name:
                pairs = zip(_cells(changed, name).to_pylist(), _cells(changed, owner).to_pylist(), strict=True)
                found |= {one: its for one, its in pairs if its is not None}
                wanted |= set(_cells(changed, name).drop_null().to_pylist())
            elif table is tables.product_variant:
                wanted |= set(_cells(changed, "variant_id").drop_null().to_pylist())
            elif changed.table == "money_amount" and name == "money_amount_id":
                wanted |= set(_cells(changed, "id").drop_null().to_pylist())
        if table is tables.product_variant:
            wanted |= set(self._variants_of_prices())
        found |= self._read(table.c[name], table.c[owner], sorted(wanted - set(found)))
        return found

    def _variants_of_prices(self) -> Iterator[str]:
        link = tables.product_variant_money_amount
        prices = {
            price for one in self._changed if one.table == "money_amount" for price in _cells(one, "id").to_pylist()
        }
        yield from self._read(link.c.money_amount_id, link.c.variant_id, sorted(prices)).values()

    def _read(self, name: Column[Any], owner: Column[Any], values: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(values), AT_ONCE):
            some = select(name, owner).where(name.in_(values[start : start + AT_ONCE]))
            found.update(row for row in map(tuple, self._connection.execute(some)))
        return found


def _cells(changed: ChangedRows, name: str) -> pa.Array:
    """A column as it is in the key, or is or was."""
    sides = [
        changed.rows.column(mark + name) for mark in (KEY, AFTER, BEFORE) if mark + name in changed.rows.column_names
    ]
    texts = [side.combine_chunks().cast(pa.string()) for side in sides]
    return pc.coalesce(*texts) if texts else pa.nulls(len(changed), pa.string())
