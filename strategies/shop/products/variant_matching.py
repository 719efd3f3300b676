"""Which variants of the shop the rows of a file mean: by id, by SKU, and without both by their option values."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.shop.importing.headers import BARCODE, SKU, VARIANT_ID, ProductHeaders
from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError
from batch_jobs.strategies.shop.products.matching import Matched, Rules, differs, is_null, repeated
from batch_jobs.strategies.shop.products.option_state import OptionState
from batch_jobs.strategies.shop.products.rows import ProductRows
from batch_jobs.strategies.shop.state import where, whole

PADDED = ", without the blanks around it"


def match_by_codes(matched: Matched) -> None:
    """Find variants by id, and without one by SKU."""
    matched.variant_at = _Codes(matched).by_id_or_sku()


def match_by_options(matched: Matched, options: OptionState, rules: Rules) -> None:
    """Find the variants of rows with neither id nor SKU by their option values.

    A variant that has a SKU is not meant by a row whose SKU is empty.
    """
    variants = matched.products.variants
    candidates = is_null(matched.variant_at) & is_null(variants["id"])
    if "sku" in variants:
        candidates &= is_null(variants["sku"])
    candidates &= ~matched.is_new_product[matched.products.product_of]
    if rules.match == "id" or not candidates.any():
        return
    free = options.of_matched.copy()
    free[matched.variant_at.drop_null().to_numpy()] = False
    if "sku" in matched.variant_state.column_names:
        free &= is_null(whole(matched.variant_state.column("sku")))
    there = pa.array(options.combinations_there(), mask=~free)
    given = pa.array(options.combinations(), mask=~candidates)
    at = where(given, there)
    at = pc.if_else(pa.array(repeated(at)), pa.scalar(None, at.type), at)
    matched.variant_at = pc.coalesce(matched.variant_at, at.cast(matched.variant_at.type))


def variant_errors(matched: Matched, rules: Rules, headers: ProductHeaders) -> list[RowError]:
    """What is wrong with the variants that rows mean, and with those that they do not."""
    errors = _Errors(matched, rules, headers).all()
    padded = {error.row for error in errors if error.message.endswith(PADDED)}
    return [*errors, *(error for error in _lacking(matched, headers) if error.row not in padded)]


class _Codes:
    """The variants that have the ids, SKUs and barcodes of the rows; null where the file frees a code for others."""

    def __init__(self, matched: Matched) -> None:
        self._matched = matched
        self._given = matched.products.variants
        self.has_id = ~is_null(self._given["id"])
        self.by_id = self._where("id")
        self.by_sku = self._taken("sku", pc.if_else(pa.array(self.has_id), self.by_id, None))

    def by_id_or_sku(self) -> pa.Array:
        return pc.if_else(pa.array(self.has_id), self.by_id, self.by_sku)

    def by_barcode(self) -> pa.Array:
        return self._taken("barcode", self._matched.variant_at)

    def _taken(self, name: str, at: pa.Array) -> pa.Array:
        """The variants that have the rows' codes, without those to which the file gives another code."""
        found = self._where(name)
        if name not in self._given or not (~is_null(found) & differs(found, at)).any():
            return found
        now = whole(self._matched.variant_state.column(name)).take(at)
        freed = at.filter(pa.array(~is_null(at) & differs(now, self._given[name])))
        return pc.if_else(pc.is_in(found, value_set=freed), pa.scalar(None, found.type), found)

    def _where(self, name: str) -> pa.Array:
        cells = self._given.get(name)
        if cells is None:
            return pa.nulls(len(self._matched.products.rows), pa.int32())
        return where(cells, whole(self._matched.variant_state.column(name)))


class _Errors:
    def __init__(self, matched: Matched, rules: Rules, headers: ProductHeaders) -> None:
        self._matched = matched
        self._products = matched.products
        self._strict = rules.match == "id"
        self._fixed = headers.fixed
        self._ids = whole(matched.variant_state.column("id"))
        self._owners = whole(matched.variant_state.column("product_id"))
        self._errors: list[RowError] = []

    def all(self) -> list[RowError]:
        codes, at = _Codes(self._matched), self._matched.variant_at
        given, by_id, by_sku = codes.has_id, codes.by_id, codes.by_sku
        id_column, sku = self._fixed.get(VARIANT_ID), self._fixed.get(SKU)
        owner_ids = self._matched.known_product_ids.take(pa.array(self._products.product_of))
        self._refuse(
            given & is_null(by_id), id_column, "there is no variant with the id {}", self._products.variants["id"]
        )
        elsewhere = ~is_null(at) & differs(self._owners.take(at), owner_ids)
        self._refuse(given & elsewhere, id_column, "this variant is of the product {}", self._owners.take(by_id))
        self._refuse(~given & elsewhere, sku, "a variant of the product {} has this SKU", self._owners.take(by_sku))
        self._refuse(
            given & ~is_null(by_id) & ~is_null(by_sku) & differs(by_sku, by_id),
            sku,
            "variant {} has this SKU",
            self._ids.take(by_sku),
        )
        by_barcode = codes.by_barcode()
        self._refuse(
            ~is_null(by_barcode) & differs(by_barcode, at),
            self._fixed.get(BARCODE),
            "variant {} has this barcode",
            self._ids.take(by_barcode),
        )
        self._refuse_padded()
        self._refuse(repeated(at), id_column or sku, "another row of this file is the same variant as this one")
        if self._strict:
            self._refuse(
                ~given & ~is_null(by_sku) & ~elsewhere,
                sku,
                "variant {} has this SKU; give its Variant Id to change it",
                self._ids.take(by_sku),
            )
        return self._errors

    def _refuse_padded(self) -> None:
        """Refuse new SKUs that a variant of the shop has without the blanks around them."""
        skus = self._products.variants.get("sku")
        if skus is None:
            return
        bare = pc.utf8_trim_whitespace(skus)
        padded = self._matched.is_new_variant & pc.fill_null(pc.not_equal(bare, skus), False).to_numpy(False)
        if padded.any():
            there = where(bare, whole(self._matched.variant_state.column("sku")))
            self._refuse(padded & ~is_null(there), self._fixed[SKU], "the shop has {}" + PADDED, bare)

    def _refuse(self, mask: Mask, column: str | None, message: str, names: pa.Array | None = None) -> None:
        for variant in np.flatnonzero(mask).tolist():
            name = names[variant].as_py() if names is not None else ""
            self._errors.append(RowError(int(self._products.rows[variant]), column, message.format(name)))


def _lacking(matched: Matched, headers: ProductHeaders) -> list[RowError]:
    """What is new needs columns that a change does without."""
    products: ProductRows = matched.products
    errors: list[RowError] = []
    if "Product Title" not in headers.fixed:
        errors += [
            RowError(int(row), "Product Title", "is not in the file; a new product needs one")
            for row in products.first[matched.is_new_product]
        ]
    for name in ("Variant Title", "Variant Inventory Quantity"):
        if name not in headers.fixed:
            errors += [
                RowError(int(row), name, "is not in the file; a new variant needs one")
                for row in products.rows[matched.is_new_variant]
            ]
    return errors
