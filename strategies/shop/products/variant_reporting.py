"""What a preview reports of variants that change: counts by column, and the first changes."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pyarrow as pa

from batch_jobs.strategies.shop.importing.headers import SKU, VARIANT_FIELDS, ProductHeaders
from batch_jobs.strategies.shop.importing.planning import SAMPLE_SIZE, Changes
from batch_jobs.strategies.shop.prices.price_changes import GivenPrices, PriceChanges
from batch_jobs.strategies.shop.products.fields import FieldChanges
from batch_jobs.strategies.shop.products.matching import Matched
from batch_jobs.strategies.shop.products.options import OptionPlan
from batch_jobs.strategies.shop.products.reporting import count_fields
from batch_jobs.strategies.shop.state import PriceColumn

#: What people call the price of a currency and a region's id.
PriceName = Callable[[str, str | None], str]


class VariantReport:
    """Reports the changes of a group's variants.

    Args:
        matched: the group.
        changes: has tally and sample.
        price_name: what people call a price.
    """

    def __init__(self, matched: Matched, changes: Changes, price_name: PriceName) -> None:
        self._matched = matched
        self._changes = changes
        self._price_name = price_name

    def report(
        self,
        fields: FieldChanges,
        options: OptionPlan,
        prices: PriceChanges,
        columns: list[PriceColumn],
        headers: ProductHeaders,
    ) -> None:
        """Count all changes, and show the first ones; prices are shown in minor units."""
        names = {field: headers.fixed.get(name, name) for name, field in VARIANT_FIELDS.items()}
        count_fields(self._changes, fields, names)
        self._count_prices(prices, columns)
        values = [headers.options[column][1] for column in options.pairs.column[options.changed].tolist()]
        for column, number in Counter(values).items():
            self._changes.tally.count_column(column, changed=number)
        for field, different in fields.differs.items():
            for variant in np.flatnonzero(different)[:SAMPLE_SIZE].tolist():
                after = fields.values[field][variant].as_py()
                self._show(variant, names[field], fields.before[field][variant].as_py(), after)
        for pair, column in zip(np.flatnonzero(options.changed)[:SAMPLE_SIZE].tolist(), values, strict=False):
            after = options.pairs.value[pair].as_py()
            self._show(int(options.pairs.variant[pair]), column, options.old_values[pair].as_py(), after)
        self._show_prices(prices, columns)

    def _count_prices(self, prices: PriceChanges, columns: list[PriceColumn]) -> None:
        tally = self._changes.tally
        tally.prices_added += len(prices.add.variant)
        tally.prices_changed += len(prices.update.variant)
        tally.prices_removed += prices.remove.num_rows
        for given, kind in ((prices.add, "added"), (prices.update, "changed")):
            for number, count in Counter(given.column.tolist()).items():
                tally.count_column(columns[number].column, **{kind: count})
        for name, count in Counter(name for name, _ in self._removed(prices)).items():
            tally.count_column(name, removed=count)

    def _show_prices(self, prices: PriceChanges, columns: list[PriceColumn]) -> None:
        self._show_given(prices.update, columns, prices.old_amounts)
        added = prices.add.kept(~self._matched.is_new_variant[prices.add.variant])
        self._show_given(added, columns, pa.nulls(len(added.variant)))
        removed = zip(prices.removed_from.tolist(), self._removed(prices), strict=True)
        for variant, (name, amount) in islice(removed, SAMPLE_SIZE):
            self._show(variant, f"{name}, in minor units", amount, None)

    def _show_given(self, given: GivenPrices, columns: list[PriceColumn], before: pa.Array) -> None:
        for index, variant in enumerate(given.variant[:SAMPLE_SIZE].tolist()):
            column = columns[int(given.column[index])].column
            self._show(variant, f"{column}, in minor units", before[index].as_py(), given.amount[index].as_py())

    def _removed(self, prices: PriceChanges) -> Iterator[tuple[str, str]]:
        for currency, region_id, amount in zip(
            *(prices.remove.column(name).to_pylist() for name in ("currency_code", "region_id", "amount")), strict=True
        ):
            yield self._price_name(currency, region_id), amount

    def _show(self, variant: int, column: str, before: object, after: object) -> None:
        products = self._matched.products
        handle = products.products["handle"][int(products.product_of[variant])].as_py()
        sku = products.variants["sku"][variant].as_py() if "sku" in products.variants else None
        key = {"Product Handle": handle, SKU: sku or ""}
        texts = (None if value is None else str(value) for value in (before, after))
        self._changes.show(products.line_of_variant(variant), key, column, *texts)
