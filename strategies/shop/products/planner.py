"""Product groups: from rows to changes of the shop."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.shop.importing.headers import ProductHeaders
from batch_jobs.strategies.shop.importing.planning import Changes, Checked, Planned, Tally, bad_keys
from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError
from batch_jobs.strategies.shop.importing.work_file import LINE
from batch_jobs.strategies.shop.products.get_or_create import ValueTables
from batch_jobs.strategies.shop.products.matching import Matched, Rules, match_products
from batch_jobs.strategies.shop.products.option_state import read_options
from batch_jobs.strategies.shop.products.options import OptionPlan, plan_options
from batch_jobs.strategies.shop.products.product_changes import ProductPlan
from batch_jobs.strategies.shop.products.references import References, find_references
from batch_jobs.strategies.shop.products.rows import ProductConverter, ProductRows
from batch_jobs.strategies.shop.products.variant_changes import VariantPlan
from batch_jobs.strategies.shop.products.variant_matching import match_by_codes, match_by_options, variant_errors
from batch_jobs.strategies.shop.state import Shop, StateReader


class ProductPlanner:
    """Plans the changes that groups of a product file make.

    Args:
        shop: what products refer to.
        headers: the file's columns.
        rules: how products are matched.
        value_tables: types, tags and images.
        place: a line for people.
    """

    with_its_key = "another row of this product is refused"

    def __init__(
        self,
        shop: Shop,
        headers: ProductHeaders,
        rules: Rules,
        value_tables: ValueTables,
        place: Callable[[int], str],
    ) -> None:
        self._shop = shop
        self._headers = headers
        self._rules = rules
        self._prices = shop.price_columns(headers.prices)
        self._converter = ProductConverter(headers, self._prices, place)
        self._value_tables = value_tables
        self._columns = {(price.currency, price.region_id): price.column for price in self._prices}
        self._regions = {region_id: name for name, ids in shop.regions.items() for region_id in ids.values()}

    def check(self, group: pa.Table) -> Checked:
        """Convert a group."""
        products, errors = self._converter.check(group)
        return Checked(group, products, errors, products.product_of)

    @staticmethod
    def units(keys: int, rows: int) -> int:
        """Medusa: a job goes through products and variants."""
        return keys + rows

    def tally_unchanged(self, keys: int, rows: int) -> Tally:
        """Unchanged products and variants."""
        return Tally(products_unchanged=keys, variants_unchanged=rows)

    def plan(self, connection: Connection, checked: Checked) -> Planned:
        """Find what the group changes; a product with an error is left out whole."""
        state = StateReader(connection)
        errors = list(checked.errors)
        while True:
            bad = bad_keys(errors, checked)
            products: ProductRows = checked.rows.kept(~bad)
            matched, options, references, found = self._meet(state, products)
            if not found:
                break
            errors += found
        changes, unchanged = Changes(), np.zeros(checked.keys, dtype=bool)
        if products.count:
            unchanged[~bad] = ~self._plan(state, matched, options, references, changes)
        self._note_not_taken(checked, bad, changes)
        for cell in references.unknown_categories:
            changes.leave_out_category(_line(checked, cell), str(cell.column), cell.message)
        changes.tally.rows_rejected = int(bad[checked.key_of].sum())
        return Planned(changes, errors, bad[checked.key_of], unchanged)

    def _note_not_taken(self, checked: Checked, bad: Mask, changes: Changes) -> None:
        """Count and show the cells of later rows that are not those of their product."""
        for cell in checked.rows.not_taken:
            if not bad[checked.key_of[cell.row]]:
                changes.leave_out(_line(checked, cell), str(cell.column), cell.message)

    def _meet(
        self, state: StateReader, products: ProductRows
    ) -> tuple[Matched, OptionPlan, References, list[RowError]]:
        matched, errors = match_products(state, products, self._rules, self._headers)
        match_by_codes(matched)
        there = read_options(state, matched)
        match_by_options(matched, there, self._rules)
        errors += variant_errors(matched, self._rules, self._headers)
        options, of_options = plan_options(matched, there, self._headers.options)
        references, of_references = find_references(state, products, self._shop, self._headers, self._rules)
        # of a row that means another product, options are compared with the wrong ones
        wrong = {error.row for error in errors}
        more = [error for error in (*of_options, *of_references) if error.row not in wrong]
        return matched, options, references, errors + more

    def _plan(
        self, state: StateReader, matched: Matched, options: OptionPlan, references: References, changes: Changes
    ) -> Mask:
        """Plan products and variants; returns by product whether it or a variant of it is new or changed."""
        products = ProductPlan(state, matched, references, self._value_tables, changes)
        touched = products.plan(self._shop, self._headers)
        variants = VariantPlan(state, matched, products.ids, options, self._prices, self._price_name, changes).plan(
            self._headers
        )
        touched[matched.products.product_of[variants]] = True
        return touched

    def _price_name(self, currency: str, region_id: str | None) -> str:
        """The file's column of such a price, or what Medusa would call it."""
        own = f"Price {currency.upper()}"
        if region_id is not None:
            own = f"Price {self._regions.get(region_id, region_id)} [{currency.upper()}]"
        return self._columns.get((currency, region_id), own)


def _line(checked: Checked, cell: RowError) -> int:
    return int(checked.group.column(LINE)[cell.row].as_py())
