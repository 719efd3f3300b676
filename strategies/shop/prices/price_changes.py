"""The prices of variants, those of price lists and for quantities left alone.

Medusa: a row with a price in a currency replaces all of the variant's prices by its own; one with prices of regions
only leaves the plain prices in those regions' currencies; one whose price cells are all empty takes them all away.
Where prices are the same before and after, nothing is written.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.shop.importing.row_errors import Mask
from batch_jobs.strategies.shop.products.matching import Matched, differs, is_null, repeated
from batch_jobs.strategies.shop.state import PriceColumn, StateReader, joined, joined_rows, where, whole

Indices = npt.NDArray[np.int64]
#: Prices of a deleted region, or in a currency that a region had before, count for nobody: no export has them, so no
#: import may take them for left out.
OF_LIVE_REGIONS = (
    "(region_id IS NULL OR (region_id, currency_code) IN "
    "(SELECT id, currency_code FROM region WHERE deleted_at IS NULL))"
)


@dataclass
class GivenPrices:
    """Prices of the file, one entry each: the variant, the column, the amount."""

    variant: Indices
    column: Indices
    amount: pa.Array

    def kept(self, mask: Mask) -> "GivenPrices":
        """Only these entries."""
        return GivenPrices(self.variant[mask], self.column[mask], self.amount.filter(pa.array(mask)))


@dataclass
class PriceChanges:
    """Prices to add; those that have another amount, with the id and the old one; those to remove; changed variants.

    ``remove`` has a row for each price, ``removed_from`` its variant.
    """

    add: GivenPrices
    update: GivenPrices
    update_ids: pa.Array
    old_amounts: pa.Array
    remove: pa.Table
    removed_from: Indices
    changed: Mask


def given_prices(amounts: list[pa.Array]) -> GivenPrices:
    """The prices that there are in columns of amounts."""
    given = [np.flatnonzero(~is_null(column)) for column in amounts]
    none = np.empty(0, dtype=np.int64)
    return GivenPrices(
        variant=np.concatenate([*given, none]),
        column=np.concatenate([*(np.full(len(at), number) for number, at in enumerate(given)), none]),
        amount=pa.concat_arrays(
            [pa.nulls(0, pa.int32()), *(column.take(pa.array(at)) for column, at in zip(amounts, given, strict=True))]
        ),
    )


def price_changes(state: StateReader, matched: Matched, columns: list[PriceColumn]) -> PriceChanges:
    """Compare the prices of the file with those of the shop; without a column of prices nothing is changed."""
    given = given_prices(matched.products.prices)
    variant_ids = whole(matched.variant_state.column("id")).take(matched.variant_at)
    there = _read(state, variant_ids if columns else pa.nulls(0, pa.string()))
    owner = where(whole(there.column("variant_id")), variant_ids).to_numpy().astype(np.int64)
    at = where(_keys(given, columns), _keys_there(there, owner))
    ids, old = whole(there.column("id")).take(at), whole(there.column("amount")).take(at)
    new, other = is_null(at), ~is_null(at) & differs(old, given.amount.cast(pa.string()))
    kept = ~is_null(where(_keys_there(there, owner), _keys(given, columns))) & ~repeated(_keys_there(there, owner))
    kept |= _plain_kept(there, owner, given, columns)
    changed = np.zeros(len(variant_ids), dtype=bool)
    changed[given.variant[new | other]] = True
    changed[owner[~kept]] = True
    chosen = pa.array(other)
    return PriceChanges(
        add=given.kept(new),
        update=given.kept(other),
        update_ids=ids.filter(chosen),
        old_amounts=old.filter(chosen),
        remove=there.filter(pa.array(~kept)),
        removed_from=owner[~kept],
        changed=changed,
    )


def currencies_and_regions(given: GivenPrices, columns: list[PriceColumn]) -> tuple[pa.Array, pa.Array]:
    """The currency and the region's id (null where there is none) of each price."""
    column = pa.array(given.column)
    currencies = pa.array([price.currency for price in columns], pa.string()).take(column)
    return currencies, pa.array([price.region_id for price in columns], pa.string()).take(column)


def _read(state: StateReader, variant_ids: pa.Array) -> pa.Table:
    links = state.texts(
        "SELECT money_amount_id AS id, variant_id FROM product_variant_money_amount "
        f"WHERE deleted_at IS NULL AND {state.among('variant_id', variant_ids)}",
        "id", "variant_id",
    )  # fmt: skip
    amounts = state.texts(
        "SELECT id, currency_code, region_id, CAST(amount AS text) AS amount FROM money_amount "
        "WHERE deleted_at IS NULL AND price_list_id IS NULL AND min_quantity IS NULL AND max_quantity IS NULL "
        f"AND {OF_LIVE_REGIONS} AND {state.among('id', whole(links.column('id')))}",
        "id", "currency_code", "region_id", "amount",
    )  # fmt: skip
    there = joined_rows(links, "id", amounts)
    # where a variant has the same price twice, the highest counts, as in an export
    highest_first = pc.sort_indices(pc.negate(whole(there.column("amount")).cast(pa.int64())))
    return there.take(highest_first)


def _keys(given: GivenPrices, columns: list[PriceColumn]) -> pa.Array:
    return joined(pa.array(given.variant).cast(pa.string()), *currencies_and_regions(given, columns))


def _keys_there(there: pa.Table, owner: Indices) -> pa.Array:
    return joined(
        pa.array(owner).cast(pa.string()), whole(there.column("currency_code")), whole(there.column("region_id"))
    )


def _plain_kept(there: pa.Table, owner: Indices, given: GivenPrices, columns: list[PriceColumn]) -> Mask:
    """Plain prices that stay because their variant has prices of regions with that currency, and no plain ones."""
    if not there.num_rows:
        return np.zeros(0, dtype=bool)
    currencies, regions = currencies_and_regions(given, columns)
    has_plain = np.isin(owner, given.variant[is_null(regions)])
    of_regions = joined(pa.array(given.variant).cast(pa.string()), currencies).filter(pc.is_valid(regions))
    mine = joined(pa.array(owner).cast(pa.string()), whole(there.column("currency_code")))
    plain = is_null(whole(there.column("region_id")))
    return ~has_plain & plain & ~is_null(where(mine, of_regions))
