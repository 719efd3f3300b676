"""What groups would do to the rows of a shop, for the file of changes that a preview leaves."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Table

from batch_jobs.strategies.shop.importing.planning import Changes, origin_of, without_origin
from batch_jobs.strategies.shop.importing.shop_log import (
    ShopLog,
    ShopTables,
    as_before,
    beside,
    changed_of,
    key_columns,
    marked,
)
from batch_jobs.strategies.shop.state import where, whole
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, KEY, ChangedRows
from batch_jobs.strategies.tables.changes.matching import places_of
from batch_jobs.strategies.tables.importing.keys import KeyHashes, key_hashes

#: By table, the columns that new rows are known by while they have no id, the first of which that is not empty is what
#: other new rows name them by.
KNOWN_BY = {
    "product": ("handle",),
    "product_variant": ("sku", "title", "product_id"),
    "product_option": ("title", "product_id"),
    "product_option_value": ("option_id", "variant_id"),
    "money_amount": ("currency_code", "region_id"),
    "product_variant_money_amount": ("variant_id", "money_amount_id"),
    "image": ("url",),
    "product_tag": ("value",),
    "product_type": ("value",),
    "product_collection": ("handle",),
}
#: The columns that refer to rows which an import makes.
REFERS_TO = {
    "product_id": "product",
    "variant_id": "product_variant",
    "option_id": "product_option",
    "money_amount_id": "money_amount",
    "image_id": "image",
    "product_tag_id": "product_tag",
    "type_id": "product_type",
    "collection_id": "product_collection",
}
#: Tables whose rows the first group makes that names them, which one may be that has no row of its own in the plan.
SHARED = ("image", "product_tag", "product_type", "product_collection")
HELD = 1 << 17  # hashes of shared rows held in memory


class PlannedRows:
    """Turns what groups would do into changes; several threads may ask.

    Args:
        shop: its tables.
        made: by shared table, takes the hashes of rows that groups would make.
    """

    def __init__(self, shop: ShopTables, made: dict[str, KeyHashes]) -> None:
        self._shop = shop
        self._made = made
        self._one_at_a_time = Lock()

    def of(self, connection: Connection, changes: Changes) -> list[ChangedRows]:
        """What a group would do, in the order in which it would; the shop is only read."""
        log, names = ShopLog(connection, self._shop), _Names()
        common = [(table, pa.Table.from_pylist(rows)) for table, rows in changes.common]
        found = [self._created(table, rows, names) for table, rows in common]
        found += [_removed(log, table, rows, self._shop) for table, rows in changes.deletes]
        found += [self._created(table, rows, names) for table, rows in changes.makes]
        found += [_updated(log, table, rows, names) for table, rows in changes.updates]
        found += [self._created(table, rows, names) for table, rows in changes.inserts]
        return [changed for changed in found if len(changed)]

    def _created(self, table: Table, rows: pa.Table, names: "_Names") -> ChangedRows:
        origin, values = origin_of(rows), names.instead_of_ids(without_origin(rows))
        key = [name for name in KNOWN_BY.get(table.name, key_columns(table)) if name in values.column_names]
        after = values
        if "id" in values.column_names:
            names.note(table.name, values.column("id"), values.select(key))
            after = values.drop_columns(["id"])
            made = marked(after, [], AFTER)
        else:
            made = marked(after, key, AFTER)
        for name in key if "id" in values.column_names else ():
            made = made.append_column(KEY + name, values.column(name))
        return ChangedRows(table.name, "created", key, self._once(table, key, beside(made, origin)))

    def _once(self, table: Table, key: list[str], rows: pa.Table) -> pa.Table:
        """Without rows that an earlier group would have made."""
        hashes_made = self._made.get(table.name)
        if hashes_made is None or not rows.num_rows:
            return rows
        hashes = key_hashes([rows.column(KEY + name) for name in key])
        with self._one_at_a_time:
            is_new = ~hashes_made.among(hashes)
            hashes_made.add(hashes[is_new])
        return rows.filter(pa.array(is_new))


class _Names:
    """What rows that have no id yet are called instead."""

    def __init__(self) -> None:
        self._by_table: dict[str, tuple[pa.Array, pa.Array]] = {}

    def note(self, table: str, ids: pa.ChunkedArray, known_by: pa.Table) -> None:
        """Take new rows of a table."""
        called = pc.coalesce(*(column.cast(pa.string()) for column in known_by.columns))
        ids, called = whole(ids), whole(called)
        if table in self._by_table:
            before = self._by_table[table]
            ids, called = pa.concat_arrays([before[0], ids]), pa.concat_arrays([before[1], called])
        self._by_table[table] = ids, called

    def instead_of_ids(self, rows: pa.Table) -> pa.Table:
        """Rows with names in the place of ids of new rows."""
        for place, column in enumerate(rows.column_names):
            found = self._by_table.get(REFERS_TO.get(column, ""))
            if found is None:
                continue
            ids = whole(rows.column(column))
            at = where(ids, found[0])
            rows = rows.set_column(place, column, pc.if_else(pc.is_valid(at), found[1].take(at), ids))
        return rows


def _updated(log: ShopLog, table: Table, rows: pa.Table, names: _Names) -> ChangedRows:
    origin, values = origin_of(rows), names.instead_of_ids(without_origin(rows))
    values = values.rename_columns(["id" if name == "row_id" else name for name in values.column_names])
    before = log.read(table, values, values.column_names).sort_by("id")
    at = places_of(before.select(["id"]), values.select(["id"]))
    after = values.take(at)
    after = as_before(after, before) or after
    return ChangedRows(table.name, "updated", ["id"], changed_of(before, after, origin.take(at)))


def _removed(log: ShopLog, table: Table, rows: pa.Table, shop: ShopTables) -> ChangedRows:
    key, origin, rows = key_columns(table), origin_of(rows), without_origin(rows)
    found = log.read(table, rows, shop.columns[table.name], by=rows.column_names)
    origin = origin.take(places_of(found.select(rows.column_names), rows))
    return ChangedRows(table.name, "removed", key, beside(marked(found, key, BEFORE), origin))


@contextmanager
def planned_rows(shop: ShopTables) -> Iterator[PlannedRows]:
    """Turns what groups would do into changes, group after group."""
    with ExitStack() as open_things:
        yield PlannedRows(shop, {name: open_things.enter_context(KeyHashes(HELD)) for name in SHARED})
