"""The options and values that products have, and those that a file gives them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.shop.importing.row_errors import Mask
from batch_jobs.strategies.shop.products.matching import Matched, is_null
from batch_jobs.strategies.shop.state import StateReader, joined, where, whole

Indices = npt.NDArray[np.int64]
#: By variant, a hash of its product and its option values in any order.
Combinations = npt.NDArray[np.uint64]


@dataclass
class Pairs:
    """Options given for variants, one entry each: the variant, the option's title and value, and the file's column."""

    variant: Indices
    title: pa.Array
    value: pa.Array
    column: Indices


@dataclass
class OptionState:
    """What the file gives (``pairs``) and the shop has: ``options``, and ``values`` of all variants of the state."""

    matched: Matched
    pairs: Pairs
    options: pa.Table
    values: pa.Table

    @property
    def of_matched(self) -> Mask:
        """By variant of the state, whether it is of a product that the file means."""
        return ~is_null(self._owners())

    def combinations(self) -> Combinations:
        """By variant of the file."""
        return _combined(self.pairs.variant, self.pairs.title, self.pairs.value, self.matched.products.product_of)

    def combinations_there(self, value_ids: pa.Array | None = None, new_values: pa.Array | None = None) -> Combinations:
        """By variant of the state; some values may be replaced by others."""
        state, now = self.matched.variant_state, whole(self.values.column("value"))
        if value_ids is not None and new_values is not None:
            at = where(whole(self.values.column("id")), value_ids)
            now = pc.coalesce(new_values.take(at), now)
        titles = whole(self.options.column("title")).take(
            where(whole(self.values.column("option_id")), whole(self.options.column("id")))
        )
        variant = where(whole(self.values.column("variant_id")), whole(state.column("id"))).to_numpy()
        owners = pc.fill_null(self._owners(), -1).to_numpy()
        return _combined(variant.astype(np.int64), titles, now, owners)

    def _owners(self) -> pa.Array:
        return where(whole(self.matched.variant_state.column("product_id")), self.matched.known_product_ids)


def read_options(state: StateReader, matched: Matched) -> OptionState:
    """Read what the shop has of the products and variants that rows mean."""
    pairs = _pairs(matched)
    return OptionState(matched, pairs, *_read(state, matched, pairs))


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
    unmet = is_null(where(numbered(product_of[pairs.variant], pairs.title), numbered(owner, titles)))
    partly = np.zeros(matched.products.count, dtype=bool)
    partly[product_of[pairs.variant[unmet]]] = True
    partly[product_of[matched.is_new_variant]] = True
    return partly & ~matched.is_new_product


def _combined(variant: Indices, titles: pa.Array, values: pa.Array, product_of: Indices) -> Combinations:
    combined = np.zeros(len(product_of), dtype=np.uint64)
    pairs = joined(pc.fill_null(titles, ""), values).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        if len(pairs):
            np.add.at(combined, variant, pd.util.hash_array(pairs, categorize=False))
        return combined ^ pd.util.hash_array(product_of.astype(np.int64))


def numbered(numbers: Indices | pa.Array, texts: pa.Array) -> pa.Array:
    """One key of a number and a text together."""
    return joined(pa.array(numbers).cast(pa.string()), texts)
