"""What products refer to and an import does not make: collections, sales channels and categories."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.shop.importing.headers import COLLECTION, ProductHeaders
from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.products.matching import Rules, is_null
from batch_jobs.strategies.shop.products.rows import ProductRows
from batch_jobs.strategies.shop.state import Shop, StateReader, where, whole
from batch_jobs.strategies.tables.databases.naming import shown


@dataclass(frozen=True)
class References:
    """By product: the id of its collection, and for each numbered sales channel and category the id of that.

    ``sets_categories`` says by product whether the file decides which categories it has; ``unknown_categories`` are the
    cells of another shop's file that name none of the shop's.
    ``deleted_collections`` are, by product, handles of collections that are there but deleted, to be made anew with
    their ``deleted_titles``.
    """

    collection_ids: pa.Array
    channel_ids: list[pa.Array]
    category_ids: list[pa.Array]
    sets_categories: Mask
    unknown_categories: list[RowError]
    deleted_collections: pa.Array
    deleted_titles: dict[str, str]


def find_references(
    state: StateReader, products: ProductRows, shop: Shop, headers: ProductHeaders, rules: Rules
) -> tuple[References, list[RowError]]:
    """Find them. Medusa drops a sales channel that it does not know without a word; here it is an error.

    Another shop has categories of its own: those that are not there too are left out, and a product of which none is
    there stays in its categories.
    """
    handles = products.products.get("collection", pa.nulls(products.count, pa.string()))
    collection_ids, errors = _by_handle(state, products, "product_collection", headers.fixed.get(COLLECTION), handles)
    deleted = _deleted_collections(state, handles.filter(pc.is_null(collection_ids))) if errors else {}
    remade = pc.and_(pc.is_null(collection_ids), pc.is_in(handles, value_set=pa.array(list(deleted), pa.string())))
    rows_remade = set(products.first[remade.to_numpy(zero_copy_only=False)].tolist())
    errors = [error for error in errors if error.row not in rows_remade]
    channel_ids = []
    for columns, cells in zip(headers.channels, products.channels, strict=True):
        ids, found = _channels(products, shop, columns, cells)
        channel_ids.append(ids)
        errors += found
    category_ids, unknown = [], []
    for column, named in zip(headers.categories, products.categories, strict=True):
        ids, found = _by_handle(state, products, "product_category", column, named)
        category_ids.append(ids)
        unknown += found
    sets_categories = np.full(products.count, bool(category_ids))
    if rules.of_another_shop:
        sets_categories = ~np.logical_and.reduce([is_null(ids) for ids in category_ids], initial=True) & sets_categories
    else:
        errors, unknown = errors + unknown, []
    made_anew = pc.if_else(remade, handles, pa.scalar(None, pa.string()))
    return (
        References(collection_ids, channel_ids, category_ids, sets_categories, unknown, made_anew, deleted),
        errors,
    )


def _deleted_collections(state: StateReader, handles: pa.Array) -> dict[str, str]:
    """Handle -> title of the one that was deleted last."""
    found = state.texts(
        "SELECT handle, title FROM product_collection "
        f"WHERE deleted_at IS NOT NULL AND {state.among('handle', handles)} ORDER BY deleted_at, id",
        "handle",
        "title",
    )
    return dict(zip(found.column("handle").to_pylist(), found.column("title").to_pylist(), strict=True))


def _by_handle(
    state: StateReader, products: ProductRows, table: str, column: str | None, handles: pa.Array
) -> tuple[pa.Array, list[RowError]]:
    live = "deleted_at IS NULL AND " if "deleted_at" in tables.metadata.tables[table].c else ""
    query = f"SELECT id, handle FROM {table} WHERE {live}{state.among('handle', handles)}"
    there = state.texts(query, "id", "handle")
    ids = whole(there.column("id")).take(where(handles, whole(there.column("handle"))))
    unknown = np.flatnonzero(is_null(ids) & ~is_null(handles)).tolist()
    noun = table.removeprefix("product_")
    hint = "; make it first" if noun == "collection" else ""
    return ids, [
        RowError(int(products.first[product]), column, f"there is no {noun} with the handle {handles[product]}{hint}")
        for product in unknown
    ]


def _channels(
    products: ProductRows, shop: Shop, columns: list[str], cells: list[pa.Array]
) -> tuple[pa.Array, list[RowError]]:
    if not cells:
        return pa.nulls(products.count, pa.string()), []  # a description alone names no channel
    named = pc.coalesce(*cells)
    ids, names = whole(shop.channels.column("id")), whole(shop.channels.column("name"))
    # Medusa's own export has the name where the id belongs, and an id of another shop means the one of this name
    found = ids.take(pc.coalesce(*(where(given, known) for given in cells for known in (ids, names))))
    unknown = np.flatnonzero(is_null(found) & ~is_null(named)).tolist()
    return found, [
        RowError(
            int(products.first[product]),
            columns[0],
            f"there is no sales channel {named[product]}; there are: {shown(sorted(names.to_pylist()))}",
        )
        for product in unknown
    ]
