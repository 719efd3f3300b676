"""Groups of a price list's file: from rows to changes of the list's prices."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from batch_jobs.strategies.shop.exporting.filters import literal
from batch_jobs.strategies.shop.importing.grouping import run_starts
from batch_jobs.strategies.shop.importing.headers import PriceHeader
from batch_jobs.strategies.shop.importing.planning import (
    SAMPLE_SIZE,
    Changes,
    Checked,
    Origin,
    Planned,
    Tally,
    bad_keys,
)
from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError, errors_of_file
from batch_jobs.strategies.shop.importing.work_file import LINE
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.prices.money import Money
from batch_jobs.strategies.shop.prices.price_changes import GivenPrices, currencies_and_regions, given_prices
from batch_jobs.strategies.shop.products.matching import differs, is_null, repeated
from batch_jobs.strategies.shop.products.rows import cells_of, price_cells
from batch_jobs.strategies.shop.products.variant_changes import delete_prices, insert_prices
from batch_jobs.strategies.shop.state import Shop, StateReader, joined, joined_rows, where, whole

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PriceListHeaders:
    """The columns of a price list's file, each by its name in the file."""

    variant_id: str | None
    sku: str | None
    prices: list[PriceHeader]


@dataclass(frozen=True)
class PriceListRows:
    """Rows of prices: how each names its variant, and the amounts of each column of prices."""

    variant_ids: pa.Array
    skus: pa.Array
    amounts: list[pa.Array]


@dataclass(frozen=True)
class PricesThere:
    """The prices that a group's variants have in the list, and by price the number of its variant's key."""

    rows: pa.Table
    owner: Indices

    def __getitem__(self, column: str) -> pa.Array:
        """A column of the prices."""
        return whole(self.rows.column(column))


@dataclass(frozen=True)
class Difference:
    """What becomes of prices: by price of the file, where it is in the list, whether it is new there or has another
    amount; by price of the list, whether it goes.
    """

    at: pa.Array
    new: Mask
    other: Mask
    gone: Mask

    def keys(self, there: PricesThere, given: GivenPrices) -> Indices:
        """The numbers of the keys that are changed."""
        return np.concatenate([given.variant[self.new | self.other], there.owner[self.gone]])


@dataclass(frozen=True)
class FoundVariants:
    """The variants that rows name: their ids and SKUs in the shop, null where there is none."""

    ids: pa.Array
    skus: pa.Array


def find_variants(state: StateReader, variant_ids: pa.Array, skus: pa.Array) -> FoundVariants:
    """The variants of these ids, and of these SKUs where there is no id."""
    with_id = state.holding(tables.product_variant, "id", variant_ids)
    with_sku = state.holding_live(tables.product_variant, "sku", skus.filter(pc.is_null(variant_ids)))
    by_id, by_sku = (
        state.texts(f"SELECT id, sku FROM {found} WHERE deleted_at IS NULL", "id", "sku")
        for found in (with_id, with_sku)
    )
    at_id, at_sku = where(variant_ids, whole(by_id.column("id"))), where(skus, whole(by_sku.column("sku")))
    ids, own_skus = (
        pc.if_else(
            pc.is_valid(variant_ids), whole(by_id.column(name)).take(at_id), whole(by_sku.column(name)).take(at_sku)
        )
        for name in ("id", "sku")
    )
    return FoundVariants(ids, own_skus)


def names_of_variants(headers: PriceListHeaders, rows: pa.Table) -> tuple[pa.Array, pa.Array]:
    """The cells by which rows name their variant: ids and SKUs."""
    none = pa.nulls(rows.num_rows, pa.string())
    return (
        cells_of(rows, headers.variant_id) if headers.variant_id else none,
        cells_of(rows, headers.sku) if headers.sku else none,
    )


def variants_by_sku(state: StateReader, headers: PriceListHeaders, rows: pa.Table) -> pa.Array:
    """The variants that rows with an id name by their SKU: where the two disagree, a second one."""
    ids, skus = names_of_variants(headers, rows)
    named_twice = skus.filter(pc.is_valid(ids))
    return find_variants(state, pa.nulls(len(named_twice), pa.string()), named_twice).ids


class PriceListPlanner:
    """Plans the changes that groups of rows make to one price list; a variant's prices change all at once.

    Args:
        shop: currencies and regions.
        headers: the file's columns.
        price_list_id: the list.
        place: a line for people.
        replace: whether a variant of the file loses the prices in the list that the file does not give it.
    """

    with_its_key = "another row of this variant is refused"

    def __init__(
        self,
        shop: Shop,
        headers: PriceListHeaders,
        price_list_id: str,
        place: Callable[[int], str],
        *,
        replace: bool,
    ) -> None:
        self._place = place
        self._headers = headers
        self._list = price_list_id
        self._replace = replace
        self._prices = shop.price_columns(headers.prices)
        self._money = [Money(price.currency) for price in self._prices]

    def check(self, group: pa.Table) -> Checked:
        """Convert a group."""
        errors = errors_of_file(group)
        in_error = {error.row for error in errors}
        amounts = []
        for price, kind in zip(self._prices, self._money, strict=True):
            values, found = price_cells(group, price, kind)
            amounts.append(values)
            errors += [error for error in found if error.row not in in_error]
        rows = PriceListRows(*names_of_variants(self._headers, group), amounts)
        return Checked(group, rows, errors, np.cumsum(run_starts(group)) - 1)

    @staticmethod
    def units(keys: int, rows: int) -> int:
        """Medusa: a job goes through rows."""
        return rows

    def tally_unchanged(self, keys: int, rows: int) -> Tally:
        """Unchanged variants."""
        return Tally(variants_unchanged=keys)

    def plan(self, connection: Connection, checked: Checked) -> Planned:
        """Find what the group changes; a variant that is refused keeps the prices it has in the list."""
        state, rows = StateReader(connection), checked.rows
        variants = find_variants(state, rows.variant_ids, rows.skus)
        given = given_prices(rows.amounts)
        errors = [*checked.errors, *self._misnamed(checked, variants)]
        in_error = {error.row for error in errors}
        errors += [error for error in self._twice(checked, given) if error.row not in in_error]
        bad = bad_keys(errors, checked)
        first = pa.array(np.flatnonzero(run_starts(checked.group)))  # by key
        ids = variants.ids.take(first)
        origin = Origin(ids, whole(checked.group.column(LINE)).take(first))
        there = self._read(state, ids)
        by_key = GivenPrices(checked.key_of[given.variant], given.column, given.amount)
        kept = by_key.kept(~bad[by_key.variant])
        difference = self._difference(there, kept, bad)
        changes = Changes()
        self._apply(changes, difference, there, kept, origin)
        self._show(changes, difference, there, kept, checked)
        changed = np.isin(np.arange(checked.keys), difference.keys(there, kept))
        has_prices = np.isin(np.arange(checked.keys), there.owner)
        tally = changes.tally
        tally.variants_created = int((changed & ~bad & ~has_prices).sum())
        tally.variants_updated = int((changed & ~bad & has_prices).sum())
        tally.variants_unchanged = int((~changed & ~bad).sum())
        tally.rows_rejected = int(bad[checked.key_of].sum())
        tally.prices_met = there.rows.num_rows
        return Planned(changes, errors, bad[checked.key_of], ~changed & ~bad)

    def _misnamed(self, checked: Checked, variants: FoundVariants) -> list[RowError]:
        """Rows that name no variant, or one by its id and not by its SKU."""
        rows, headers = checked.rows, self._headers
        in_error = {error.row for error in checked.errors}
        missing = is_null(variants.ids)
        other_sku = ~missing & ~is_null(rows.variant_ids) & ~is_null(rows.skus) & differs(rows.skus, variants.skus)
        errors = []
        for row in np.flatnonzero(missing | other_sku).tolist():
            variant_id, sku = rows.variant_ids[row].as_py(), rows.skus[row].as_py()
            if row in in_error:
                continue
            if other_sku[row]:
                own = variants.skus[row].as_py()
                has = "has no SKU" if own is None else f"has the SKU {own}"
                errors.append(RowError(row, headers.sku, f"variant {variant_id} {has}, not {sku}"))
            elif variant_id is not None:
                errors.append(RowError(row, headers.variant_id, f"there is no variant with the id {variant_id}"))
            elif sku is not None:
                errors.append(RowError(row, headers.sku, f"there is no variant with the SKU {sku}"))
            else:
                errors.append(
                    RowError(row, headers.sku or headers.variant_id, "is empty; the row needs an id or a SKU")
                )
        return errors

    def _twice(self, checked: Checked, given: GivenPrices) -> list[RowError]:
        keys = joined(*(pa.array(part).cast(pa.string()) for part in (checked.key_of[given.variant], given.column)))
        first = where(keys, keys)
        lines = checked.group.column(LINE).to_numpy()[given.variant]
        return [
            RowError(
                int(given.variant[index]),
                self._prices[int(given.column[index])].column,
                f"this variant's price is already on {self._place(int(lines[first[index].as_py()]))}",
            )
            for index in np.flatnonzero(repeated(keys)).tolist()
        ]

    def _read(self, state: StateReader, variant_ids: pa.Array) -> PricesThere:
        links = state.texts(
            "SELECT money_amount_id AS id, variant_id FROM product_variant_money_amount "
            f"WHERE {state.among('variant_id', variant_ids)}",
            "id",
            "variant_id",
        )
        names = ("id", "currency_code", "region_id", "amount", "special")
        # a price for a quantity, or one that is deleted, is none that a file has
        special = "CASE WHEN coalesce(min_quantity, max_quantity) IS NOT NULL OR deleted_at IS NOT NULL THEN 'yes' END"
        amounts = state.texts(
            f"SELECT id, currency_code, region_id, CAST(amount AS text) AS amount, {special} AS special "
            f"FROM money_amount WHERE price_list_id = {literal(self._list)} "
            f"AND {state.among('id', whole(links.column('id')))}",
            *names,
        )
        rows = joined_rows(links, "id", amounts)
        return PricesThere(rows, where(whole(rows.column("variant_id")), variant_ids).to_numpy().astype(np.int64))

    def _difference(self, there: PricesThere, given: GivenPrices, bad: Mask) -> Difference:
        keys = joined(pa.array(given.variant).cast(pa.string()), *currencies_and_regions(given, self._prices))
        keys_there = joined(pa.array(there.owner).cast(pa.string()), there["currency_code"], there["region_id"])
        keys_there = pc.if_else(pc.is_null(there["special"]), keys_there, pa.scalar(None, pa.string()))
        at = where(keys, keys_there)
        new = is_null(at)
        named = ~is_null(where(keys_there, keys))
        twice = named & repeated(keys_there)
        return Difference(
            at=at,
            new=new,
            other=~new & differs(there["amount"].take(at), given.amount.cast(pa.string())),
            gone=~bad[there.owner] & (twice | ~named if self._replace else twice),
        )

    def _apply(
        self, changes: Changes, difference: Difference, there: PricesThere, given: GivenPrices, origin: Origin
    ) -> None:
        other = pa.array(difference.other)
        updated = {"row_id": there["id"].take(difference.at).filter(other), "amount": given.amount.filter(other)}
        changes.update(tables.money_amount, pa.table(updated), origin.take(pa.array(given.variant).filter(other)))
        gone = pa.array(difference.gone)
        removed = there["id"].filter(gone)
        delete_prices(changes, removed, origin.take(pa.array(there.owner).filter(gone)))
        changes.tally.prices_removed = len(removed)
        new = given.kept(difference.new)
        insert_prices(changes, new, origin.groups, self._prices, origin, price_list_id=self._list)

    def _show(
        self, changes: Changes, difference: Difference, there: PricesThere, given: GivenPrices, checked: Checked
    ) -> None:
        """Put the first prices that change or go into the sample."""
        first = np.flatnonzero(run_starts(checked.group))

        def show(key: int, column: str, before: str, after: str | None) -> None:
            row = int(first[key])
            name = checked.rows.skus[row].as_py() or checked.rows.variant_ids[row].as_py()
            line = checked.group.column(LINE)[row].as_py()
            changes.show(line, {"Variant": name}, f"{column}, in minor units", before, after)

        for index in np.flatnonzero(difference.other)[:SAMPLE_SIZE].tolist():
            before = there["amount"][difference.at[index].as_py()].as_py()
            column = self._prices[int(given.column[index])].column
            show(int(given.variant[index]), column, before, str(given.amount[index].as_py()))
        for index in np.flatnonzero(difference.gone)[:SAMPLE_SIZE].tolist():
            column = f"Price {there['currency_code'][index].as_py().upper()}"
            show(int(there.owner[index]), column, there["amount"][index].as_py(), None)
