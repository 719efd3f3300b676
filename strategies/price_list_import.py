"""The built-in strategy that replaces a price list's prices by those of a file."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Select,
    Table,
    Text,
    delete,
    exists,
    func,
    literal_column,
    select,
)

from batch_jobs.strategies.sdk.change_log import changes_of
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import ContextRefused, InputRefused, JobRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import LINE_COLUMN
from batch_jobs.strategies.shop.exporting.filters import literal
from batch_jobs.strategies.shop.importing.grouped_import import GroupedImport, GroupedImportContext
from batch_jobs.strategies.shop.importing.headers import PriceHeader, price_header, refuse_unknown
from batch_jobs.strategies.shop.importing.planning import Changes, Origin, Tally
from batch_jobs.strategies.shop.importing.preview import ChangesOfGroups
from batch_jobs.strategies.shop.importing.shop_log import ShopLog, logged_tables
from batch_jobs.strategies.shop.importing.work_file import KEY, read_groups
from batch_jobs.strategies.shop.importing.writing import apply_changes
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.prices.price_list import (
    PriceListHeaders,
    PriceListPlanner,
    find_variants,
    names_of_variants,
    variants_by_sku,
)
from batch_jobs.strategies.shop.products.variant_changes import delete_prices
from batch_jobs.strategies.shop.state import Shop, StateReader, whole
from batch_jobs.strategies.tables.databases.loading import Destination

VARIANT_ID, SKU = "Product Variant ID", "SKU"
TEMPLATE = """\
Product Variant ID;SKU;Price EUR;Price USD
;MUG-BLUE;9.90;11
;TEA-POT;29;35.50
"""
#: The variants of a file, for as long as it takes to remove the prices of all others.
KEPT = Table("batch_job_kept_variant", MetaData(), Column("variant_id", Text), prefixes=["TEMPORARY"])


class PriceListImportContext(GroupedImportContext):
    """Which file of prices, and for which list."""

    price_list_id: str = Field(title="Price list", description="Id of the price list, such as pl_01H...")
    mode: Literal["replace", "merge"] = Field(
        "replace",
        title="Mode",
        description="replace: the list has exactly the file's prices; merge: what the file does not name stays. "
        "Of a rejects file, the variants that are not in it keep their prices either way",
    )


class PriceListImport(GroupedImport):
    """Replace the prices of a price list by those of a file, each variant's at once."""

    identifier = "price-list-import-strategy"
    batch_type = "price-list-import"
    Context = PriceListImportContext
    keys_are = "variants"
    known_columns = (VARIANT_ID, SKU, "Price EUR")
    writes = (tables.money_amount, tables.product_variant_money_amount)

    def prepare(self, context: PriceListImportContext) -> Any:
        """Refuse what cannot be meant."""
        if not context.price_list_id.strip():
            raise ContextRefused("price-list-import needs a price_list_id")
        return super().prepare(context)

    def pre_process(self, job: JobRun) -> None:
        """Look at the list, then at the file."""
        with database_of(job.target).source(job.target).reading() as connection:
            state = StateReader(connection)
            list_id = literal(job.context.price_list_id)
            if not state.texts(f"SELECT id FROM price_list WHERE deleted_at IS NULL AND id = {list_id}", "id").num_rows:
                raise JobRefused(f"there is no price list with the id {job.context.price_list_id}")
            prices = f"SELECT CAST(count(*) AS text) AS number FROM money_amount WHERE price_list_id = {list_id}"
            job.plan["_prices_before"] = int(state.texts(prices, "number")["number"][0].as_py())
        super().pre_process(job)

    def read_headers(self, file: str, context: PriceListImportContext, columns: list[str]) -> PriceListHeaders:
        """Medusa's columns of a price list's file."""
        names = self.mapping(context, columns).columns
        prices: list[PriceHeader] = []
        unknown: list[str] = []
        for name, column in names.items():
            price = price_header(column, name)
            if price is not None:
                prices.append(price)
            elif name not in (VARIANT_ID, SKU):
                unknown.append(column)
        refuse_unknown(file, "a price list's file", unknown, (VARIANT_ID, SKU, "Price EUR"))
        headers = PriceListHeaders(names.get(VARIANT_ID), names.get(SKU), prices)
        if not prices or (headers.variant_id is None and headers.sku is None):
            raise InputRefused(file, f"it needs a column {VARIANT_ID} or {SKU}, and one of prices such as Price EUR")
        return headers

    def key_of(self, state: StateReader, headers: PriceListHeaders, rows: pa.Table) -> pa.Array:
        """The variant's id, however the row names it."""
        return find_variants(state, *names_of_variants(headers, rows)).ids

    def planning(self, job: JobRun, shop: Shop, headers: PriceListHeaders) -> AbstractContextManager[PriceListPlanner]:
        """Plans prices."""
        replace = job.context.mode == "replace"
        list_id, place = job.context.price_list_id, job.rejects.place
        return nullcontext(PriceListPlanner(shop, headers, list_id, place, replace=replace))

    def units(self, keys: int, rows: int) -> int:
        """Rows."""
        return PriceListPlanner.units(keys, rows)

    def describe_plan(self, job: JobRun, tally: Tally) -> None:
        """Say what will happen; the first line is Medusa's, which counts rows."""
        rows = (job.progress.total or 0) - tally.rows_rejected
        job.describe("price-list-import-count", "PriceList to import", f"{rows} prices will be added")
        job.describe(
            "price-list-import-variants",
            "Variants",
            f"{tally.variants_created} variants get prices in the list, {tally.variants_updated} get others, "
            f"{tally.variants_unchanged} are as they are in the file",
        )
        self._plan_removal(job, tally)
        job.describe("price-list-import-reject", "To reject", f"{tally.rows_rejected} rows will be rejected")

    def _plan_removal(self, job: JobRun, tally: Tally) -> None:
        """Decide whether the variants that are not in the file lose their prices, and say what the list loses."""
        goes_in = tally.variants_created + tally.variants_updated + tally.variants_unchanged
        is_rejects_file = LINE_COLUMN in job.plan["_columns"]
        nothing_goes_in = bool(tally.rows_rejected and not goes_in)
        job.plan["_removes_others"] = job.context.mode == "replace" and not is_rejects_file and not nothing_goes_in
        if job.plan["_removes_others"]:
            message = f"{self._others(job, tally)} prices of variants that are not in the file"
        elif job.context.mode == "merge":
            message = "no prices of variants that are not in the file, as mode is merge"
        else:
            why = "this is a rejects file, which adds to the list" if is_rejects_file else "no row of the file goes in"
            message = f"no prices of variants that are not in the file: {why}"
        if tally.prices_removed:
            message += f", and {tally.prices_removed} prices of variants that are, which the file does not give them"
        job.describe("price-list-import-remove", "To remove", message)

    def _others(self, job: JobRun, tally: Tally) -> int:
        """How many prices the variants have that the file does not name."""
        if not tally.rows_rejected:
            return int(job.plan["_prices_before"]) - tally.prices_met
        # a refused row may name a second variant, so its prices are counted as they will be removed
        link, money = tables.product_variant_money_amount, tables.money_amount
        with job.target.begin() as connection, self._kept_variants(job, connection):
            kept = select(link.c.money_amount_id).join(KEPT, KEPT.c.variant_id == link.c.variant_id)
            of_list = money.c.price_list_id == job.context.price_list_id
            query = select(func.count()).select_from(money).where(of_list, money.c.id.not_in(kept))
            return int(connection.execute(query).scalar_one())

    def finish(self, job: JobRun, connection: Connection) -> None:
        """Remove the prices of all variants that the file does not name."""
        if not job.plan["_removes_others"]:
            return
        link, money = tables.product_variant_money_amount, tables.money_amount
        is_other, is_unlinked = _of_others(job)
        with self._kept_variants(job, connection):
            if changes_of(connection) is not None:
                self._remove_logged(job, connection, is_other, is_unlinked)
            connection.execute(delete(link).where(is_other))
            connection.execute(delete(money).where(is_unlinked))

    def preview_finish(self, job: JobRun, changed: ChangesOfGroups) -> None:
        """Find the prices that would be removed, page by page."""
        if not job.plan["_removes_others"]:
            return
        with job.target.begin() as connection, self._kept_variants(job, connection):
            for changes in _removals(connection, *_of_others(job), job.chunk_size):
                job.stop_if_asked()
                changed.file.add(changed.rows.of(connection, changes))

    def _remove_logged(
        self, job: JobRun, connection: Connection, is_other: ColumnElement[bool], is_unlinked: ColumnElement[bool]
    ) -> None:
        """Remove prices page by page, so that what each was is in the log."""
        with logged_tables(job, self.writes) as logged:
            for changes in _removals(connection, is_other, is_unlinked, job.chunk_size):
                log = ShopLog(connection, logged) if logged else None
                apply_changes(connection, changes, log)
                if log:
                    log.record()

    @contextmanager
    def _kept_variants(self, job: JobRun, connection: Connection) -> Iterator[None]:
        """Fill ``KEPT`` with the variants that the file names, those of refused rows included."""
        database = database_of(connection)
        state = StateReader(connection)
        headers = self.planned_headers(job)
        KEPT.create(connection)
        loader = database.loader(Destination(KEPT, ["variant_id"], [], "append"))
        for _, group in read_groups(job.files, job.plan["_work_file"]):
            named = [whole(group.column(KEY))]
            if job.plan["counts"]["rows_rejected"]:
                named.append(variants_by_sku(state, headers, group))
            ids = pa.concat_arrays(named).drop_null()
            loader.write(connection, loader.encode(pa.table({"variant_id": ids})))
        # a planner knows nothing of the table just filled, and would go through it for each price
        database.expect_many_rows(connection)
        yield
        KEPT.drop(connection)

    def build_template(self) -> str:
        """Prices for the products of product-import's template."""
        return TEMPLATE


def _of_others(job: JobRun) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Which links to prices of a list are of variants that are not in ``KEPT``, and which prices have no link."""
    link, money = tables.product_variant_money_amount, tables.money_amount
    of_list = money.c.price_list_id == job.context.price_list_id
    kept = exists().where(KEPT.c.variant_id == link.c.variant_id)
    is_other = link.c.money_amount_id.in_(select(money.c.id).where(of_list)) & ~kept
    return is_other, of_list & ~exists().where(link.c.money_amount_id == money.c.id)


def _removals(
    connection: Connection, is_other: ColumnElement[bool], is_unlinked: ColumnElement[bool], size: int
) -> Iterator[Changes]:
    """The changes that remove such prices, page by page."""
    link, money = tables.product_variant_money_amount, tables.money_amount
    linked = select(link.c.money_amount_id, link.c.variant_id).where(is_other)
    unlinked = select(money.c.id, literal_column("NULL")).where(is_unlinked)
    for ids, variant_ids in chain.from_iterable(_pages(connection, query, size) for query in (linked, unlinked)):
        changes = Changes()
        delete_prices(changes, ids, Origin(variant_ids, pa.nulls(len(ids), pa.int64())))
        yield changes


def _pages(connection: Connection, query: Select[Any], size: int) -> Iterator[tuple[pa.Array, pa.Array]]:
    """The rows of a query of two texts, in the order of the first, so many at a time; those read may be removed."""
    first = query.selected_columns[0]
    page = query.order_by(first).limit(size)
    rows = connection.execute(page).all()
    while rows:
        ids, others = (pa.array(column, pa.string()) for column in zip(*rows, strict=True))
        yield ids, others
        rows = connection.execute(page.where(first > rows[-1][0])).all()
