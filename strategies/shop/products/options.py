"""The options of products, and the values that variants have for them.

Medusa: options are made with the product from its first row and never changed later; a new variant has one value for
each of them, in a combination of its own; a changed variant keeps the options it has.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError
from batch_jobs.strategies.shop.products.matching import Matched, differs, is_null, repeated
from batch_jobs.strategies.shop.state import StateReader, joined, where, whole

Indices = npt.NDArray[np.int64]


@dataclass
class Pairs:
    """Options given for variants, one entry each: the variant, the option's title and value, and the file's column."""

    variant: Indices
    title: pa.Array
    value: pa.Array
    column: Indices


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
    state: StateReader, matched: Matched, columns: list[tuple[str, str]]
) -> tuple[OptionPlan, list[RowError]]:
    """Find options and values; ``columns`` are the names of the file's columns."""
    pairs = _pairs(matched)
    options, values = _read(state, matched, pairs)
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
        _numbered(products_of_pairs, pairs.title), _numbered(plan.option_product, plan.option_titles)
    )
    _find_values(plan, matched, values)
    return plan, _Errors(plan, matched, values, columns).all()


def _pairs(matched: Matched) -> Pairs:
    found = matched.products.options
    given = [np.flatnonzero(~is_null(titles) & ~is_null(values)) for titles, values in found]
    none = pa.nulls(0, pa.string())
    return Pairs(
        variant=np.concatenate([*given, np.empty(0, dtype=np.int64)]),
        title=pa.concat_arrays(
            [none, *(titles.take(pa.array(at)) for at, (titles, _) in zip(given, found, strict=True))]
        ),
        value=pa.concat_arrays(
            [none, *(values.take(pa.array(at)) for at, (_, values) in zip(given, found, strict=True))]
        ),
        column=np.concatenate([*(np.full(len(at), k) for k, at in enumerate(given)), np.empty(0, dtype=np.int64)]),
    )


def _read(state: StateReader, matched: Matched, pairs: Pairs) -> tuple[pa.Table, pa.Table]:
    values = state.texts(
        "SELECT id, option_id, variant_id, value FROM product_option_value "
        f"WHERE deleted_at IS NULL AND {state.among('variant_id', whole(matched.variant_state.column('id')))}",
        "id", "option_id", "variant_id", "value",
    )  # fmt: skip
    # no index of Medusa's finds options by their product, so their values lead to them wherever that is enough
    options = _options(state, state.among("id", whole(values.column("option_id"))))
    owner = where(whole(options.column("product_id")), matched.known_product_ids)
    partly = _with_further_options(matched, pairs, owner, whole(options.column("title")))
    if not partly.any():
        return options.filter(pc.is_valid(owner)), values
    rest = options.filter(pc.is_in(owner, value_set=pa.array(np.flatnonzero(~partly).astype(np.int32))))
    all_of_them = _options(state, state.among("product_id", matched.known_product_ids.filter(pa.array(partly))))
    return pa.concat_tables([rest, all_of_them]), values


def _options(state: StateReader, condition: str) -> pa.Table:
    return state.texts(
        f"SELECT id, title, product_id FROM product_option WHERE deleted_at IS NULL AND {condition} "
        "ORDER BY created_at, id",
        "id", "title", "product_id",
    )  # fmt: skip


def _with_further_options(matched: Matched, pairs: Pairs, owner: pa.Array, titles: pa.Array) -> Mask:
    """By product of the shop, whether an option without a value may matter: for a new variant, or an unmet pair."""
    product_of = matched.products.product_of
    unmet = is_null(where(_numbered(product_of[pairs.variant], pairs.title), _numbered(owner, titles)))
    partly = np.zeros(matched.products.count, dtype=bool)
    partly[product_of[pairs.variant[unmet]]] = True
    partly[product_of[matched.is_new_variant]] = True
    return partly & ~matched.is_new_product


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
    def __init__(self, plan: OptionPlan, matched: Matched, values: pa.Table, columns: list[tuple[str, str]]) -> None:
        self._plan = plan
        self._matched = matched
        self._values = values
        self._columns = columns
        self._errors: list[RowError] = []

    def all(self) -> list[RowError]:
        plan, pairs = self._plan, self._plan.pairs
        new = self._matched.is_new_variant
        unknown = is_null(plan.pair_option)
        self._refuse_pairs(unknown, "the product has no option {}")
        twice = repeated(_numbered(pairs.variant, pairs.title))
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
        products = self._matched.products
        combinations = self._combinations()
        order = np.flatnonzero(new)
        seen_before = pd.Series(combinations[order]).duplicated().to_numpy()
        taken = np.isin(combinations[order], self._combinations_there())
        for variant in order[seen_before | taken].tolist():
            message = "the product has a variant with these option values; give its Variant Id or SKU to change it"
            self._errors.append(RowError(int(products.rows[variant]), None, message))

    def _combinations(self) -> npt.NDArray[np.uint64]:
        """By variant, a hash of its product and option values in any order."""
        products, pairs = self._matched.products, self._plan.pairs
        return _combined(pairs.variant, pairs.title, pairs.value, products.product_of)

    def _combinations_there(self) -> npt.NDArray[np.uint64]:
        state = self._matched.variant_state
        owner = where(whole(state.column("product_id")), self._matched.known_product_ids)
        titles = self._plan.option_titles.take(where(whole(self._values.column("option_id")), self._plan.option_ids))
        variant = where(whole(self._values.column("variant_id")), whole(state.column("id"))).to_numpy()
        combined = _combined(
            variant.astype(np.int64), titles, whole(self._values.column("value")), pc.fill_null(owner, -1).to_numpy()
        )
        return combined[~is_null(owner)]


def _combined(variant: Indices, titles: pa.Array, values: pa.Array, product_of: Indices) -> npt.NDArray[np.uint64]:
    combined = np.zeros(len(product_of), dtype=np.uint64)
    pairs = joined(pc.fill_null(titles, ""), values).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        if len(pairs):
            np.add.at(combined, variant, pd.util.hash_array(pairs, categorize=False))
        return combined ^ pd.util.hash_array(product_of.astype(np.int64))


def _numbered(numbers: Indices | pa.Array, texts: pa.Array) -> pa.Array:
    return joined(pa.array(numbers).cast(pa.string()), texts)
