"""What the variants of a group change in the shop, with their option values and prices."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.shop.importing.headers import VARIANT_FIELDS, ProductHeaders
from batch_jobs.strategies.shop.importing.planning import Changes, Origin
from batch_jobs.strategies.shop.importing.row_errors import Mask
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.medusa.ids import new_ids
from batch_jobs.strategies.shop.prices.price_changes import (
    GivenPrices,
    PriceChanges,
    currencies_and_regions,
    price_changes,
)
from batch_jobs.strategies.shop.products.fields import FieldChanges, field_changes
from batch_jobs.strategies.shop.products.matching import Matched, is_null
from batch_jobs.strategies.shop.products.options import OptionPlan
from batch_jobs.strategies.shop.products.product_changes import with_new_ids
from batch_jobs.strategies.shop.products.variant_reporting import PriceName, VariantReport
from batch_jobs.strategies.shop.state import PriceColumn, StateReader, where, whole

Indices = npt.NDArray[np.int64]


class VariantPlan:
    """Plans the changes of a group's variants.

    Args:
        state: reads the shop.
        matched: the group.
        product_ids: by product, its id, those of new ones included.
        options: what becomes of options and values.
        prices: where each column of prices goes.
        price_name: what people call the price of a currency and a region's id.
        changes: where the plan goes.
    """

    def __init__(
        self,
        state: StateReader,
        matched: Matched,
        product_ids: pa.Array,
        options: OptionPlan,
        prices: list[PriceColumn],
        price_name: PriceName,
        changes: Changes,
    ) -> None:
        self._state = state
        self._matched = matched
        self._product_ids = product_ids
        self._options = options
        self._prices = prices
        self._price_name = price_name
        self._changes = changes
        self._new = matched.is_new_variant
        self._owners = product_ids.take(pa.array(matched.products.product_of))
        known = whole(matched.variant_state.column("id")).take(matched.variant_at)
        self._ids = with_new_ids(known, self._new, "variant")
        self._origin = Origin(self._owners, matched.products.lines_of_variants)

    def plan(self, headers: ProductHeaders) -> Mask:
        """Plan all changes; returns by variant whether it is new or changed."""
        given = self._matched.products.variants
        values = {name: given[name] for name in VARIANT_FIELDS.values() if name in given}
        fields = field_changes(values, tables.product_variant, self._matched.variant_state, self._matched.variant_at)
        prices = price_changes(self._state, self._matched, self._prices)
        option_ids = self._plan_options()
        self._insert(fields)
        self._plan_values(option_ids)
        self._plan_prices(prices)
        of_values = np.zeros(len(self._new), dtype=bool)
        of_values[self._options.pairs.variant[self._options.changed]] = True
        changed = (fields.changed if values else np.zeros(len(self._new), dtype=bool)) | of_values | prices.changed
        self._update(fields, changed & ~self._new)
        self._count(changed)
        VariantReport(self._matched, self._changes, self._price_name).report(
            fields, self._options, prices, self._prices, headers
        )
        touched: Mask = changed | self._new
        return touched

    def _plan_options(self) -> pa.Array:
        """The ids of all options; those of new products are made here."""
        plan = self._options
        new = is_null(plan.option_ids)
        ids = with_new_ids(plan.option_ids, new, "opt")
        chosen = pa.array(new)
        of = pa.array(plan.option_product)
        origin = Origin(self._product_ids, self._matched.products.lines_of_products).take(of)
        rows = {"id": ids, "title": plan.option_titles, "product_id": origin.groups}
        self._changes.insert(tables.product_option, pa.table(rows).filter(chosen), origin.filter(chosen))
        return ids

    def _insert(self, fields: FieldChanges) -> None:
        rows = {"id": self._ids, "product_id": self._owners, **fields.values}
        rows["variant_rank"] = self._ranks()
        new = pa.array(self._new)
        self._changes.insert(tables.product_variant, pa.table(rows).filter(new), self._origin.filter(new))

    def _ranks(self) -> pa.Array:
        """Medusa: a new variant's rank is the number of variants that its product had before it."""
        product_of = self._matched.products.product_of
        owners = where(whole(self._matched.variant_state.column("product_id")), self._matched.known_product_ids)
        before = np.bincount(owners.drop_null().to_numpy(), minlength=self._matched.products.count)[product_of]
        made = np.cumsum(self._new)
        first = np.searchsorted(product_of, np.arange(self._matched.products.count))
        earlier: Indices = made - (made - self._new)[first][product_of]
        return pa.array((before + earlier - 1).astype(np.int32))

    def _plan_values(self, option_ids: pa.Array) -> None:
        plan, pairs = self._options, self._options.pairs
        at = pa.array(np.flatnonzero(self._new[pairs.variant]))
        origin = self._origin.take(pa.array(pairs.variant))
        rows = {
            "id": new_ids("optval", len(at)),
            "value": pairs.value.take(at),
            "option_id": option_ids.take(plan.pair_option.take(at)),
            "variant_id": self._ids.take(pa.array(pairs.variant).take(at)),
        }
        self._changes.insert(tables.product_option_value, pa.table(rows), origin.take(at))
        other = pa.array(plan.changed)
        changed = {"row_id": plan.value_ids.filter(other), "value": pairs.value.filter(other)}
        self._changes.update(tables.product_option_value, pa.table(changed), origin.filter(other))

    def _plan_prices(self, prices: PriceChanges) -> None:
        delete_prices(
            self._changes, whole(prices.remove.column("id")), self._origin.take(pa.array(prices.removed_from))
        )
        updated = {"row_id": prices.update_ids, "amount": prices.update.amount}
        origin = self._origin.take(pa.array(prices.update.variant))
        self._changes.update(tables.money_amount, pa.table(updated), origin)
        insert_prices(self._changes, prices.add, self._ids, self._prices, self._origin)

    def _update(self, fields: FieldChanges, changed: Mask) -> None:
        at = pa.array(np.flatnonzero(changed))
        for code in ("sku", "barcode"):
            self._free(fields, code)
        rows = {"row_id": self._ids.take(at), **{name: values.take(at) for name, values in fields.values.items()}}
        self._changes.update(tables.product_variant, pa.table(rows), self._origin.take(at))

    def _free(self, fields: FieldChanges, code: str) -> None:
        """Take a code away from variants that get another one, where the file gives it to a different variant."""
        if code not in fields.differs or not fields.differs[code].any():
            return
        before = fields.before[code]
        taken = pc.is_in(before, value_set=fields.values[code].drop_null(), skip_nulls=True)
        at = pa.array(np.flatnonzero(fields.differs[code] & taken.to_numpy(zero_copy_only=False)))
        freed = pa.table({"row_id": self._ids.take(at), code: pa.nulls(len(at), pa.string())})
        self._changes.update(tables.product_variant, freed, self._origin.take(at))

    def _count(self, changed: Mask) -> None:
        tally = self._changes.tally
        tally.variants_created += int(self._new.sum())
        tally.variants_updated += int((changed & ~self._new).sum())
        tally.variants_unchanged += int((~changed & ~self._new).sum())
        owners = whole(self._matched.variant_state.column("product_id"))
        of_file = pc.sum(pc.is_in(owners, value_set=self._matched.known_product_ids, skip_nulls=True)).as_py() or 0
        tally.variants_left_alone += of_file - int((~self._new).sum())


def delete_prices(changes: Changes, ids: pa.Array, origin: Origin) -> None:
    """Plan that prices go, and what links them to their variants."""
    changes.delete(tables.product_variant_money_amount, pa.table({"money_amount_id": ids}), origin)
    changes.delete(tables.money_amount, pa.table({"id": ids}), origin)


def insert_prices(
    changes: Changes,
    prices: GivenPrices,
    variant_ids: pa.Array,
    columns: list[PriceColumn],
    origin: Origin,
    **constant: str,
) -> None:
    """Plan new prices.

    Args:
        changes: where the plan goes.
        prices: to insert.
        variant_ids: by the number that these have of a variant.
        columns: of the prices.
        origin: by that number, that of a variant's prices.
        constant: further fields that all of them have.
    """
    of = origin.take(pa.array(prices.variant))
    count = len(prices.variant)
    ids = new_ids("ma", count)
    currencies, regions = currencies_and_regions(prices, columns)
    rows = {"id": ids, "currency_code": currencies, "amount": prices.amount, "region_id": regions}
    rows |= {name: pa.array([value] * count, pa.string()) for name, value in constant.items()}
    changes.insert(tables.money_amount, pa.table(rows), of)
    links = {
        "id": new_ids("pvma_", count),
        "money_amount_id": ids,
        "variant_id": variant_ids.take(pa.array(prices.variant)),
    }
    changes.insert(tables.product_variant_money_amount, pa.table(links), of)
