"""A group of rows as products and variants: typed, with everything that is wrong with it by itself."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Table

from batch_jobs.strategies.shop.importing.grouping import run_starts
from batch_jobs.strategies.shop.importing.headers import (
    COLLECTION,
    PRODUCT_FIELDS,
    PRODUCT_HANDLE,
    PRODUCT_ID,
    TAGS,
    TYPE,
    VARIANT_FIELDS,
    VARIANT_ID,
    ProductHeaders,
)
from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError, errors_at, errors_of_file
from batch_jobs.strategies.shop.importing.work_file import LINE
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.prices.money import Money
from batch_jobs.strategies.shop.products.agreement import differing_cells
from batch_jobs.strategies.shop.products.codes import blank_cells, long_codes
from batch_jobs.strategies.shop.state import PriceColumn, whole
from batch_jobs.strategies.tables.values.formulas import restore
from batch_jobs.strategies.tables.values.kinds import Kind, kind_of

#: Fields that may not be empty and have no default to fall back to.
REQUIRED_OF_PRODUCT = ("handle", "title")
REQUIRED_OF_VARIANT = ("title", "inventory_quantity")

Indices = npt.NDArray[np.int64]


@dataclass
class ProductRows:
    """Rows of whole products. Arrays by product have one entry a product, arrays by variant one a row.

    Args:
        group: the rows as they were read.
        rows: by variant, which row of the group it is.
        product_of: by variant, which product it belongs to.
        first: by product, its first row in the group.
        products: by product, its fields by their column of the table ``product``, and ``id``, ``type`` and the like.
        variants: by variant, likewise of ``product_variant``.
        prices: by variant, the amounts of each column of prices.
        options: by variant, pairs of an option's title and value.
        images, channels, categories: by product, cells.
        not_taken: cells of later rows of a product that differ from its first row's.
    """

    group: pa.Table
    rows: Indices
    product_of: Indices
    first: Indices
    products: dict[str, pa.Array] = field(default_factory=dict)
    variants: dict[str, pa.Array] = field(default_factory=dict)
    prices: list[pa.Array] = field(default_factory=list)
    options: list[tuple[pa.Array, pa.Array]] = field(default_factory=list)
    images: list[pa.Array] = field(default_factory=list)
    channels: list[list[pa.Array]] = field(default_factory=list)
    categories: list[pa.Array] = field(default_factory=list)
    not_taken: list[RowError] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many products."""
        return len(self.first)

    @property
    def lines_of_products(self) -> pa.Array:
        """By product, the line of its first row."""
        return whole(self.group.column(LINE)).take(pa.array(self.first))

    @property
    def lines_of_variants(self) -> pa.Array:
        """By variant, the line of its row."""
        return whole(self.group.column(LINE)).take(pa.array(self.rows))

    def line_of_product(self, product: int) -> int:
        """The line of a product's first row."""
        return int(self.group.column(LINE)[int(self.first[product])].as_py())

    def line_of_variant(self, variant: int) -> int:
        """The line of a variant's row."""
        return int(self.group.column(LINE)[int(self.rows[variant])].as_py())

    def kept(self, good: Mask) -> "ProductRows":
        """Only these products."""
        if good.all():
            return self
        of_products, of_variants = pa.array(good), pa.array(good[self.product_of])

        def variants(array: pa.Array) -> pa.Array:
            return array.filter(of_variants)

        def products(array: pa.Array) -> pa.Array:
            return array.filter(of_products)

        return replace(
            self,
            rows=self.rows[good[self.product_of]],
            product_of=(np.cumsum(good) - 1)[self.product_of[good[self.product_of]]],
            first=self.first[good],
            products={name: products(array) for name, array in self.products.items()},
            variants={name: variants(array) for name, array in self.variants.items()},
            prices=list(map(variants, self.prices)),
            options=[(variants(titles), variants(values)) for titles, values in self.options],
            images=list(map(products, self.images)),
            channels=[list(map(products, arrays)) for arrays in self.channels],
            categories=list(map(products, self.categories)),
        )


class ProductConverter:
    """Turns groups of a product file into products and variants.

    Args:
        headers: the file's columns.
        prices: where each column of prices goes.
        place: a line for people.
    """

    def __init__(self, headers: ProductHeaders, prices: list[PriceColumn], place: Callable[[int], str]) -> None:
        self._headers = headers
        self._prices = prices
        self._place = place
        self._product_kinds = _kinds(tables.product, PRODUCT_FIELDS, headers)
        self._variant_kinds = _kinds(tables.product_variant, VARIANT_FIELDS, headers)
        self._money = [Money(price.currency) for price in prices]
        self._id_column = [headers.fixed[PRODUCT_ID]] if PRODUCT_ID in headers.fixed else []
        fixed = (COLLECTION, TYPE, TAGS, *PRODUCT_FIELDS)
        of_product = [headers.fixed[name] for name in fixed if name in headers.fixed and name != PRODUCT_HANDLE]
        self._columns_of_product = [*of_product, *headers.images, *chain(*headers.channels), *headers.categories]

    def check(self, group: pa.Table) -> tuple[ProductRows, list[RowError]]:
        """Convert a group; returns all that is wrong with it, too."""
        starts = run_starts(group)
        product_of, first = np.cumsum(starts) - 1, np.flatnonzero(starts)
        products = ProductRows(group, np.arange(group.num_rows), product_of, first)
        errors = errors_of_file(group)
        in_error = {error.row for error in errors}
        found = [
            *self._convert_products(products, group.take(pa.array(first))),
            *self._convert_variants(products, group),
            *self._convert_prices(products, group),
            *self._pair_options(products, group),
            *differing_cells(group, product_of, first, self._id_column, self._place),
        ]
        products.not_taken = differing_cells(group, product_of, first, self._columns_of_product, self._place)
        # of a row that could not even be split, the cells mean nothing
        return products, errors + [error for error in found if error.row not in in_error]

    def _convert_products(self, products: ProductRows, rows: pa.Table) -> list[RowError]:
        errors: list[RowError] = []
        for name, kind in self._product_kinds.items():
            column, field_name = self._headers.fixed[name], PRODUCT_FIELDS[name]
            values, found = _converted(rows, column, kind, field_name in REQUIRED_OF_PRODUCT)
            if field_name == "handle":
                found += [*blank_cells(values, column), *long_codes(values, column)]
            products.products[field_name] = values
            errors += [RowError(int(products.first[error.row]), error.column, error.message) for error in found]
        for name, field_name in ((PRODUCT_ID, "id"), (COLLECTION, "collection"), (TYPE, "type"), (TAGS, "tags")):
            if name in self._headers.fixed:
                products.products[field_name] = cells_of(rows, self._headers.fixed[name])
        products.products.setdefault("id", pa.nulls(products.count, pa.string()))
        products.images = [cells_of(rows, column) for column in self._headers.images]
        products.channels = [[cells_of(rows, column) for column in columns] for columns in self._headers.channels]
        products.categories = [cells_of(rows, column) for column in self._headers.categories]
        return errors

    def _convert_variants(self, products: ProductRows, rows: pa.Table) -> list[RowError]:
        errors: list[RowError] = []
        for name, kind in self._variant_kinds.items():
            column, field_name = self._headers.fixed[name], VARIANT_FIELDS[name]
            values, found = _converted(rows, column, kind, field_name in REQUIRED_OF_VARIANT)
            if field_name in ("sku", "barcode"):
                found += long_codes(values, column)
            products.variants[field_name] = values
            errors += found
        products.variants["id"] = pa.nulls(rows.num_rows, pa.string())
        if VARIANT_ID in self._headers.fixed:
            products.variants["id"] = cells_of(rows, self._headers.fixed[VARIANT_ID])
        return errors

    def _convert_prices(self, products: ProductRows, rows: pa.Table) -> list[RowError]:
        errors: list[RowError] = []
        for price, kind in zip(self._prices, self._money, strict=True):
            amounts, found = price_cells(rows, price, kind)
            products.prices.append(amounts)
            errors += found
        return errors

    def _pair_options(self, products: ProductRows, rows: pa.Table) -> list[RowError]:
        errors: list[RowError] = []
        for name, value in self._headers.options:
            titles, values = cells_of(rows, name), cells_of(rows, value)
            products.options.append((titles, values))
            has_title, has_value = _valid(titles), _valid(values)
            errors += errors_at(
                np.flatnonzero(has_title & ~has_value).tolist(), value, "is empty; the option has a name"
            )
            errors += errors_at(
                np.flatnonzero(has_value & ~has_title).tolist(), name, "is empty; the option has a value"
            )
        return errors


def price_cells(rows: pa.Table, price: PriceColumn, kind: Money) -> tuple[pa.Array, list[RowError]]:
    """The amounts of a column of prices; every amount is an error where the shop has no such price."""
    cells = cells_of(rows, price.column)
    if price.problem is not None:
        filled = np.flatnonzero(_valid(cells)).tolist()
        return pa.nulls(rows.num_rows, pa.int32()), errors_at(filled, price.column, price.problem)
    converted = kind.convert(cells)
    return converted.values, [RowError(row, price.column, message) for row, message in converted.bad]


def cells_of(rows: pa.Table, column: str) -> pa.Array:
    """The cells of a column with formulas restored; empty texts are null, as they are to Medusa."""
    cells = restore(whole(rows.column(column)))
    empty = pc.equal(cells, "")
    return pc.if_else(empty, pa.scalar(None, pa.string()), cells) if pc.any(empty).as_py() else cells


def _converted(rows: pa.Table, column: str, kind: Kind, required: bool) -> tuple[pa.Array, list[RowError]]:
    converted = kind.convert(cells_of(rows, column))
    errors = [RowError(row, column, message) for row, message in converted.bad]
    if required and converted.values.null_count:
        bad = {row for row, _ in converted.bad}
        empty = np.flatnonzero(~_valid(converted.values)).tolist()
        errors += errors_at((row for row in empty if row not in bad), column, "is empty; it needs a value")
    return converted.values, errors


def _kinds(table: Table, fields: dict[str, str], headers: ProductHeaders) -> dict[str, Kind]:
    return {name: kind_of(table.c[field]) for name, field in fields.items() if name in headers.fixed}


def _valid(cells: pa.Array) -> Mask:
    valid: Mask = pc.is_valid(cells).to_numpy(zero_copy_only=False)
    return valid
