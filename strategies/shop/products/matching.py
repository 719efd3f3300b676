"""Which products and variants of the shop the rows of a file mean."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Table

from batch_jobs.strategies.shop.importing.headers import (
    PRODUCT_FIELDS,
    PRODUCT_HANDLE,
    PRODUCT_ID,
    VARIANT_FIELDS,
    ProductHeaders,
)
from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.products.rows import ProductRows
from batch_jobs.strategies.shop.state import StateReader, types_of, where, whole

#: What is read in any case; of the other columns of the tables, only those that the file has.
PRODUCT_COLUMNS = ("id", "handle", "thumbnail", "collection_id", "type_id")
VARIANT_COLUMNS = ("id", "product_id")
#: Columns in which no two live rows have the same, by an index of these only.
LIVE_ONCE = ("handle", "sku", "barcode")


@dataclass(frozen=True)
class Rules:
    """How products are matched.

    ``match`` is ``id`` for Medusa's strictness: a handle or SKU that is there is not matched but refused. ``mode``
    may allow only new products, or only those that are there. ``of_another_shop`` is a file whose categories are those
    of another shop.
    """

    match: Literal["handle", "id"] = "handle"
    mode: Literal["upsert", "create", "update"] = "upsert"
    of_another_shop: bool = False


@dataclass
class Matched:
    """Rows and what they mean.

    ``product_at`` and ``variant_at`` are, by product and by variant, the row of ``product_state`` and
    ``variant_state``, null for what is new. ``product_state`` has nothing else; ``variant_state`` has all live
    variants of the products matched.
    """

    products: ProductRows
    product_state: pa.Table
    product_at: pa.Array
    variant_state: pa.Table
    variant_at: pa.Array

    @property
    def is_new_product(self) -> Mask:
        """By product, whether the shop does not have it yet."""
        return is_null(self.product_at)

    @property
    def is_new_variant(self) -> Mask:
        """By variant, whether the shop does not have it yet."""
        return is_null(self.variant_at)

    @property
    def known_product_ids(self) -> pa.Array:
        """By product, its id, null where it is new."""
        return whole(self.product_state.column("id")).take(self.product_at)


def match_products(
    state: StateReader, products: ProductRows, rules: Rules, headers: ProductHeaders
) -> tuple[Matched, list[RowError]]:
    """Find the products that the rows mean, with the errors that the shop's state gives them.

    The state of their variants is read too, and which of them are meant is left to ``match_variants``.
    """
    product_state, product_at, errors = _find_products(state, products, rules, headers)
    matched_ids = whole(product_state.column("id")).take(product_at)
    codes: dict[str, pa.Array] = {
        name: products.variants[name] for name in ("id", "sku", "barcode") if name in products.variants
    }
    columns = _columns(VARIANT_COLUMNS, VARIANT_FIELDS, headers)
    variant_state = _read(state, tables.product_variant, columns, {"product_id": matched_ids, **codes})
    variant_at = pa.nulls(len(products.rows), pa.int32())
    return Matched(products, product_state, product_at, variant_state, variant_at), errors


def _find_products(
    state: StateReader, products: ProductRows, rules: Rules, headers: ProductHeaders
) -> tuple[pa.Table, pa.Array, list[RowError]]:
    ids, handles = products.products["id"], products.products["handle"]
    columns = _columns(PRODUCT_COLUMNS, PRODUCT_FIELDS, headers)
    found = _read(state, tables.product, columns, {"id": ids, "handle": handles})
    by_id, by_handle = where(ids, whole(found.column("id"))), where(handles, whole(found.column("handle")))
    given, at = ~is_null(ids), pc.if_else(pc.is_valid(ids), by_id, by_handle)
    id_column, handle_column = headers.fixed.get(PRODUCT_ID), headers.fixed[PRODUCT_HANDLE]
    errors: list[RowError] = []

    def refuse(mask: Mask, column: str | None, message: str, names: pa.Array | None = None) -> None:
        for product in np.flatnonzero(mask).tolist():
            name = names[product].as_py() if names is not None else ""
            errors.append(RowError(int(products.first[product]), column, message.format(name)))

    owners = whole(found.column("id")).take(by_handle)
    refuse(given & is_null(by_id), id_column, "there is no product with the id {}; leave out ids of another shop", ids)
    refuse(
        given & ~is_null(by_id) & differs(by_handle, at) & ~is_null(by_handle),
        handle_column,
        "product {} has this handle",
        owners,
    )
    refuse(repeated(at), id_column or handle_column, "another row of this file is the same product as this one")
    if rules.match == "id":
        refuse(
            ~given & ~is_null(by_handle),
            handle_column,
            "product {} has this handle; give its Product Id to change it",
            owners,
        )
    if rules.mode == "create":
        refuse(~is_null(at), handle_column, "the shop has this product and mode is create")
    if rules.mode == "update":
        refuse(~given & is_null(at), handle_column, "the shop has no product with this handle and mode is update")
    return found, at, errors


def _columns(always: tuple[str, ...], fields: dict[str, str], headers: ProductHeaders) -> list[str]:
    return list(dict.fromkeys([*always, *(field for name, field in fields.items() if name in headers.fixed)]))


def _read(state: StateReader, table: Table, columns: list[str], cells: dict[str, pa.Array]) -> pa.Table:
    """The live rows that have one of these values in one of these columns.

    One query for each column and its index; a value that is found already is not looked for.
    """
    found = pa.schema([(name, pa.string()) for name in columns]).empty_table()
    for name, values in cells.items():
        missing = values.filter(pc.is_null(where(values, whole(found.column(name))))).drop_null()
        if not len(missing):
            continue
        source = (state.holding_live if name in LIVE_ONCE else state.holding)(table, name, missing)
        query = f"SELECT {', '.join(columns)} FROM {source} WHERE deleted_at IS NULL"
        found = pa.concat_tables([found, state.rows(query, types_of(table, columns))])
    again = repeated(whole(found.column("id")))
    return found.filter(pa.array(~again)) if again.any() else found


def is_null(values: pa.Array) -> Mask:
    """Which values are null."""
    null: Mask = pc.is_null(values).to_numpy(zero_copy_only=False)
    return null


def differs(left: pa.Array, right: pa.Array) -> Mask:
    """Which values are not the same; null is a value like any other."""
    equal = pc.fill_null(pc.equal(left, right), False)
    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    different: Mask = pc.invert(pc.or_(equal, both_null)).to_numpy(zero_copy_only=False)
    return different


def repeated(values: pa.Array) -> Mask:
    """Which values an earlier one equals; null equals nothing."""
    first = where(values, values)
    again = pc.not_equal(first, pa.array(np.arange(len(values), dtype=np.int32)))
    found: Mask = pc.fill_null(again, False).to_numpy(zero_copy_only=False)
    return found
