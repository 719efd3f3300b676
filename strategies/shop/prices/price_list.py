"""Groups of a price list's file: from rows to changes of the list's prices."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from batch_jobs.strategies.shop.exporting.filters import literal
from batch_jobs.strategies.shop.importing.grouping import run_starts
from batch_jobs.strategies.shop.importing.headers import PriceHeader
from batch_jobs.strategies.shop.importing.planning import Changes, Checked, Planned, Tally, bad_keys
from batch_jobs.strategies.shop.importing.row_errors import Mask, RowError, errors_of_file
from batch_jobs.strategies.shop.importing.work_file import LINE
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.prices.money import Money
from batch_jobs.strategies.shop.prices.price_changes import GivenPrices, currencies_and_regions, given_prices
from batch_jobs.strategies.shop.products.matching import differs, is_null, repeated
from batch_jobs.strategies.shop.products.rows import cells_of, price_cells
from batch_jobs.strategies.shop.products.variant_changes import insert_prices
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


def find_variants(state: StateReader, variant_ids: pa.Array, skus: pa.Array) -> pa.Array:
    """The variants' ids, null where there is none. Medusa: the id wins over the SKU."""
    with_id = state.holding(tables.product_variant, "id", variant_ids)
    with_sku = state.holding_live(tables.product_variant, "sku", skus.filter(pc.is_null(variant_ids)))
    by_id, by_sku = (
        state.texts(f"SELECT id, sku FROM {found} WHERE deleted_at IS NULL", "id", "sku")
        for found in (with_id, with_sku)
    )
    of_ids = whole(by_id.column("id")).take(where(variant_ids, whole(by_id.column("id"))))
    of_skus = whole(by_sku.column("id")).take(where(skus, whole(by_sku.column("sku"))))
    return pc.if_else(pc.is_valid(variant_ids), of_ids, of_skus)


def names_of_variants(headers: PriceListHeaders, rows: pa.Table) -> tuple[pa.Array, pa.Array]:
    """The cells by which rows name their variant: ids and SKUs."""
    none = pa.nulls(rows.num_rows, pa.string())
    return (
        cells_of(rows, headers.variant_id) if headers.variant_id else none,
        cells_of(rows, headers.sku) if headers.sku else none,
    )


class PriceListPlanner:
    """Plans the changes that groups of rows make to one price list; a variant's prices change all at once.

    Args:
        shop: currencies and regions.
        headers: the file's columns.
        price_list_id: the list.
    """

    with_its_key = "another row of this variant is refused"

    def __init__(self, shop: Shop, headers: PriceListHeaders, price_list_id: str) -> None:
        self._headers = headers
        self._list = price_list_id
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

    def units(self, keys: int, rows: int) -> int:
        """Medusa: a job goes through rows."""
        return rows

    def tally_unchanged(self, keys: int, rows: int) -> Tally:
        """Unchanged variants."""
        return Tally(variants_unchanged=keys)

    def plan(self, connection: Connection, checked: Checked) -> Planned:
        """Find what the group changes; the list has no prices left of a variant that is refused."""
        state, rows = StateReader(connection), checked.rows
        variants = find_variants(state, rows.variant_ids, rows.skus)
        given = given_prices(rows.amounts)
        errors = [*checked.errors, *self._unknown(checked, variants)]
        in_error = {error.row for error in errors}
        errors += [error for error in self._twice(checked, given) if error.row not in in_error]
        bad = bad_keys(errors, checked)
        ids = variants.take(pa.array(np.flatnonzero(run_starts(checked.group))))  # by key
        there = self._read(state, ids)
        owner = where(whole(there.column("variant_id")), ids).to_numpy().astype(np.int64)
        by_key = GivenPrices(checked.key_of[given.variant], given.column, given.amount)
        changes = Changes()
        changed = self._compare(changes, there, owner, by_key.kept(~bad[by_key.variant]), ids)
        has_prices = np.isin(np.arange(checked.keys), owner)
        tally = changes.tally
        tally.variants_created = int((changed & ~bad & ~has_prices).sum())
        tally.variants_updated = int((changed & ~bad & has_prices).sum())
        tally.variants_unchanged = int((~changed & ~bad).sum())
        tally.rows_rejected = int(bad[checked.key_of].sum())
        tally.prices_met = there.num_rows
        return Planned(changes, errors, bad[checked.key_of], ~changed & ~bad)

    def _unknown(self, checked: Checked, variants: pa.Array) -> list[RowError]:
        rows, headers = checked.rows, self._headers
        in_error = {error.row for error in checked.errors}
        errors = []
        for row in np.flatnonzero(is_null(variants)).tolist():
            variant_id, sku = rows.variant_ids[row].as_py(), rows.skus[row].as_py()
            if row in in_error:
                continue
            if variant_id is not None:
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
        lines = checked.group.column(LINE)
        return [
            RowError(
                int(given.variant[index]),
                self._prices[int(given.column[index])].column,
                f"this variant's price is already on line {lines[int(given.variant[first[index].as_py()])]}",
            )
            for index in np.flatnonzero(repeated(keys)).tolist()
        ]

    def _read(self, state: StateReader, variant_ids: pa.Array) -> pa.Table:
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
        return joined_rows(links, "id", amounts)

    def _compare(
        self, changes: Changes, there: pa.Table, owner: Indices, given: GivenPrices, variant_ids: pa.Array
    ) -> Mask:
        """Plan what makes the list's prices those of the file; returns by key whether anything changes."""
        keys = joined(pa.array(given.variant).cast(pa.string()), *currencies_and_regions(given, self._prices))
        places = (whole(there.column(name)) for name in ("currency_code", "region_id"))
        keys_there = joined(pa.array(owner).cast(pa.string()), *places)
        keys_there = pc.if_else(pc.is_null(whole(there.column("special"))), keys_there, pa.scalar(None, pa.string()))
        at = where(keys, keys_there)
        new = is_null(at)
        other = ~new & differs(whole(there.column("amount")).take(at), given.amount.cast(pa.string()))
        gone = is_null(where(keys_there, keys)) | repeated(keys_there)
        ids = whole(there.column("id"))
        updated = {"row_id": ids.take(at).filter(pa.array(other)), "amount": given.amount.filter(pa.array(other))}
        changes.update(tables.money_amount, pa.table(updated).to_pylist())
        removed = ids.filter(pa.array(gone)).to_pylist()
        changes.delete(tables.product_variant_money_amount, [{"money_amount_id": found} for found in removed])
        changes.delete(tables.money_amount, [{"id": found} for found in removed])
        insert_prices(changes, given.kept(new), variant_ids, self._prices, price_list_id=self._list)
        changed = np.zeros(len(variant_ids), dtype=bool)
        changed[given.variant[new | other]] = True
        changed[owner[gone]] = True
        return changed
