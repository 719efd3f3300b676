"""The options of products, and the values that variants have for them.

Medusa: options are made with the product from its first row and never changed later; a new variant has one value for
each of them, in a combination of its own; a changed variant keeps the options it has.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError
from batch_jobs.strategies.shop.products.matching import Matched, differs, is_null, repeated
from batch_jobs.strategies.shop.products.option_state import Indices, OptionState, Pairs, numbered
from batch_jobs.strategies.shop.state import joined, where, whole


@dataclass
class OptionPlan:
    """What is to become of options and values.

    ``option_*`` are the options of all products of the group, those of new products included (without an id);
    ``pair_option`` says which of them a pair of the file means; ``changed`` are pairs whose value is another than that
    of the row of ``value_ids``.
    """

    pairs: Pairs
    option_product: Indices
    option_titles: pa.Array
    option_ids: pa.Array
    pair_option: pa.Array
    value_ids: pa.Array
    old_values: pa.Array
    changed: Mask


def plan_options(
    matched: Matched, there: OptionState, columns: list[tuple[str, str]]
) -> tuple[OptionPlan, list[RowError]]:
    """Find what becomes of options and values; ``columns`` are the names of the file's columns."""
    pairs, options = there.pairs, there.options
    product_ids = whole(options.column("product_id"))
    known_product = where(product_ids, matched.known_product_ids).to_numpy()
    new_product, new_titles = _new_options(matched)
    plan = OptionPlan(
        pairs=pairs,
        option_product=np.concatenate([known_product, new_product]).astype(np.int64),
        option_titles=pa.concat_arrays([whole(options.column("title")), new_titles]),
        option_ids=pa.concat_arrays([whole(options.column("id")), pa.nulls(len(new_product), pa.string())]),
        pair_option=pa.nulls(0),
        value_ids=pa.nulls(0),
        old_values=pa.nulls(0),
        changed=np.zeros(0, dtype=bool),
    )
    products_of_pairs = matched.products.product_of[pairs.variant]
    plan.pair_option = where(
        numbered(products_of_pairs, pairs.title), numbered(plan.option_product, plan.option_titles)
    )
    _find_values(plan, matched, there.values)
    return plan, _Errors(plan, matched, there, columns).all()


def _new_options(matched: Matched) -> tuple[Indices, pa.Array]:
    first = np.searchsorted(matched.products.product_of, np.arange(matched.products.count))
    product: list[Indices] = []
    titles: list[pa.Array] = []
    for given, _ in matched.products.options:
        of_products = given.take(pa.array(first))
        at = np.flatnonzero(matched.is_new_product & ~is_null(of_products))
        product.append(at)
        titles.append(of_products.take(pa.array(at)))
    none = np.empty(0, dtype=np.int64)
    return np.concatenate([*product, none]), pa.concat_arrays([pa.nulls(0, pa.string()), *titles])


def _find_values(plan: OptionPlan, matched: Matched, values: pa.Table) -> None:
    """Find, for the pairs of variants that are there, the values they have now."""
    variant_ids = whole(matched.variant_state.column("id")).take(matched.variant_at)
    of_pairs = variant_ids.take(pa.array(plan.pairs.variant))
    option_ids = plan.option_ids.take(plan.pair_option)
    keys = pc.if_else(pc.and_(pc.is_valid(of_pairs), pc.is_valid(option_ids)), joined(of_pairs, option_ids), None)
    at = where(keys, joined(whole(values.column("variant_id")), whole(values.column("option_id"))))
    plan.value_ids = whole(values.column("id")).take(at)
    plan.old_values = whole(values.column("value")).take(at)
    plan.changed = ~is_null(plan.value_ids) & differs(plan.old_values, plan.pairs.value)


class _Errors:
    def __init__(self, plan: OptionPlan, matched: Matched, there: OptionState, columns: list[tuple[str, str]]) -> None:
        self._plan = plan
        self._matched = matched
        self._there = there
        self._columns = columns
        self._errors: list[RowError] = []

    def all(self) -> list[RowError]:
        plan, pairs = self._plan, self._plan.pairs
        new = self._matched.is_new_variant
        unknown = is_null(plan.pair_option)
        self._refuse_pairs(unknown, "the product has no option {}")
        twice = repeated(numbered(pairs.variant, pairs.title))
        self._refuse_pairs(twice & ~unknown, "the option {} is there twice")
        self._refuse_pairs(
            ~new[pairs.variant] & ~unknown & is_null(plan.value_ids), "the variant has no value for the option {}"
        )
        self._refuse_incomplete(new)
        self._refuse_taken(new)
        return self._errors

    def _refuse_pairs(self, mask: Mask, message: str) -> None:
        pairs = self._plan.pairs
        for index in np.flatnonzero(mask).tolist():
            row = int(self._matched.products.rows[pairs.variant[index]])
            column = self._columns[pairs.column[index]][0]
            self._errors.append(RowError(row, column, message.format(repr(pairs.title[index].as_py()))))

    def _refuse_incomplete(self, new: Mask) -> None:
        products = self._matched.products
        given = np.bincount(self._plan.pairs.variant, minlength=len(products.rows))
        wanted = np.bincount(self._plan.option_product, minlength=products.count)[products.product_of]
        for variant in np.flatnonzero(new & (given != wanted)).tolist():
            message = f"has {given[variant]} option values where the product has {wanted[variant]} options"
            self._errors.append(RowError(int(products.rows[variant]), None, message))

    def _refuse_taken(self, new: Mask) -> None:
        """Refuse what is new or changed and would have the values of another variant at the end."""
        plan, products = self._plan, self._matched.products
        touched = new.copy()
        touched[plan.pairs.variant[plan.changed]] = True
        if not touched.any():
            return
        chosen = pa.array(plan.changed)
        there = self._there.combinations_there(plan.value_ids.filter(chosen), plan.pairs.value.filter(chosen))
        order = np.flatnonzero(touched)
        at = self._matched.variant_at.take(pa.array(order))
        combinations = self._there.combinations()[order]
        combinations[~is_null(at)] = there[at.drop_null().to_numpy()]
        others = self._there.of_matched
        others[at.drop_null().to_numpy()] = False
        first_seen = np.concatenate([there[others], combinations])
        taken = pd.Series(first_seen).duplicated().to_numpy()[int(others.sum()) :]
        for variant in order[taken].tolist():
            message = "the product has a variant with these option values"
            message += "; give its Variant Id or SKU to change it" if new[variant] else ""
            self._errors.append(RowError(int(products.rows[variant]), None, message))
