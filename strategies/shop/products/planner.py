"""Product groups: from rows to changes of the shop."""

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.shop.importing.changes import Changes, Tally
from batch_jobs.strategies.shop.importing.headers import ProductHeaders
from batch_jobs.strategies.shop.importing.planning import Checked, Planned, bad_keys
from batch_jobs.strategies.shop.importing.row_errors import Fault, Mask
from batch_jobs.strategies.shop.products.matching import Matched, Rules, match
from batch_jobs.strategies.shop.products.options import OptionPlan, plan_options
from batch_jobs.strategies.shop.products.product_changes import ProductPlan, Vocabularies
from batch_jobs.strategies.shop.products.references import References, find_references
from batch_jobs.strategies.shop.products.rows import ProductConverter, ProductRows
from batch_jobs.strategies.shop.products.variant_changes import VariantPlan
from batch_jobs.strategies.shop.reading_state import StateReader
from batch_jobs.strategies.shop.shop import Shop


class ProductPlanner:
    """Plans the changes that groups of a product file make.

    Args:
        shop: what products refer to.
        headers: the file's columns.
        rules: how products are matched.
        vocabularies: types, tags and images.
    """

    with_its_key = "another row of this product is refused"

    def __init__(self, shop: Shop, headers: ProductHeaders, rules: Rules, vocabularies: Vocabularies) -> None:
        self._shop = shop
        self._headers = headers
        self._rules = rules
        self._prices = shop.price_columns(headers.prices)
        self._converter = ProductConverter(headers, self._prices)
        self._vocabularies = vocabularies

    def check(self, group: pa.Table) -> Checked:
        """Convert a group."""
        products, faults = self._converter.check(group)
        return Checked(group, products, faults, products.product_of)

    def units(self, keys: int, rows: int) -> int:
        """Medusa: a job goes through products and variants."""
        return keys + rows

    def tally_unchanged(self, keys: int, rows: int) -> Tally:
        """Unchanged products and variants."""
        return Tally(products_unchanged=keys, variants_unchanged=rows)

    def plan(self, connection: Connection, checked: Checked) -> Planned:
        """Find what the group changes; a product with a fault is left out whole."""
        state = StateReader(connection)
        faults = list(checked.faults)
        while True:
            bad = bad_keys(faults, checked)
            products: ProductRows = checked.rows.kept(~bad)
            matched, options, references, found = self._meet(state, products)
            if not found:
                break
            faults += found
        changes, unchanged = Changes(), np.zeros(checked.keys, dtype=bool)
        if products.count:
            unchanged[~bad] = ~self._plan(state, matched, options, references, changes)
        changes.tally.rows_rejected = int(bad[checked.key_of].sum())
        return Planned(changes, faults, bad[checked.key_of], unchanged)

    def _meet(self, state: StateReader, products: ProductRows) -> tuple[Matched, OptionPlan, References, list[Fault]]:
        matched, faults = match(state, products, self._rules, self._headers)
        options, of_options = plan_options(state, matched, self._headers.options)
        references, of_references = find_references(state, products, self._shop, self._headers)
        # of a row that means another product, options are compared with the wrong ones
        wrong = {fault.row for fault in faults}
        more = [fault for fault in (*of_options, *of_references) if fault.row not in wrong]
        return matched, options, references, faults + more

    def _plan(
        self, state: StateReader, matched: Matched, options: OptionPlan, references: References, changes: Changes
    ) -> Mask:
        """Plan products and variants; returns by product whether it or a variant of it is new or changed."""
        products = ProductPlan(state, matched, references, self._vocabularies, changes)
        touched = products.plan(self._shop, self._headers)
        variants = VariantPlan(state, matched, products.ids, options, self._prices, changes).plan(self._headers)
        touched[matched.products.product_of[variants]] = True
        return touched
