"""The built-in strategy that replaces a price list's prices by those of a file."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field
from sqlalchemy import Column, Connection, MetaData, Table, Text, delete, exists, select

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import ContextRefused, InputRefused, JobRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.shop.exporting.filters import literal
from batch_jobs.strategies.shop.importing.grouped_import import GroupedImport, GroupedImportContext
from batch_jobs.strategies.shop.importing.headers import PriceHeader, price_header, refuse_unknown
from batch_jobs.strategies.shop.importing.planning import Tally
from batch_jobs.strategies.shop.importing.work_file import KEY, read_groups
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.prices.price_list import (
    PriceListHeaders,
    PriceListPlanner,
    find_variants,
    names_of_variants,
)
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
        description="replace: the list has exactly the file's prices; merge: other variants keep theirs",
    )


class PriceListImport(GroupedImport):
    """Replace the prices of a price list by those of a CSV file, each variant's at once."""

    identifier = "price-list-import-strategy"
    batch_type = "price-list-import"
    Context = PriceListImportContext

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
            job.plan["prices_before"] = int(state.texts(prices, "number")["number"][0].as_py())
        super().pre_process(job)

    def read_headers(self, context: PriceListImportContext, columns: list[str]) -> PriceListHeaders:
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
        refuse_unknown(context.file_key, "a price list's file", unknown, (VARIANT_ID, SKU, "Price EUR"))
        headers = PriceListHeaders(names.get(VARIANT_ID), names.get(SKU), prices)
        if not prices or (headers.variant_id is None and headers.sku is None):
            raise InputRefused(
                context.file_key, f"it needs a column {VARIANT_ID} or {SKU}, and one of prices such as Price EUR"
            )
        return headers

    def key_of(self, state: StateReader, headers: PriceListHeaders, rows: pa.Table) -> pa.Array:
        """The variant's id, however the row names it."""
        return find_variants(state, *names_of_variants(headers, rows))

    def planning(self, job: JobRun, shop: Shop, headers: PriceListHeaders) -> AbstractContextManager[PriceListPlanner]:
        """Plans prices."""
        return nullcontext(PriceListPlanner(shop, headers, job.context.price_list_id))

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
        if job.context.mode == "replace":
            others = job.plan["prices_before"] - tally.prices_met
            job.describe(
                "price-list-import-remove", "To remove", f"{others} prices of variants that are not in the file"
            )
        job.describe("price-list-import-reject", "To reject", f"{tally.rows_rejected} rows will be rejected")

    def finish(self, job: JobRun, connection: Connection) -> None:
        """Remove the prices of all variants that the file does not have."""
        if job.context.mode == "merge":
            return
        database = database_of(connection)
        KEPT.create(connection)
        loader = database.loader(Destination(KEPT, ["variant_id"], [], "append"))
        for _, group in read_groups(job.files, job.plan["work_file"]):
            ids = whole(group.column(KEY)).drop_null()
            loader.write(connection, loader.encode(pa.table({"variant_id": ids})))
        link, money = tables.product_variant_money_amount, tables.money_amount
        of_list = money.c.price_list_id == job.context.price_list_id
        # a planner knows nothing of the table just filled, and would go through it for each price
        database.expect_many_rows(connection)
        kept = exists().where(KEPT.c.variant_id == link.c.variant_id)
        linked = exists().where(link.c.money_amount_id == money.c.id)
        connection.execute(delete(link).where(link.c.money_amount_id.in_(select(money.c.id).where(of_list)), ~kept))
        connection.execute(delete(money).where(of_list, ~linked))
        KEPT.drop(connection)

    def build_template(self) -> str:
        """Prices for the products of product-import's template."""
        return TEMPLATE
