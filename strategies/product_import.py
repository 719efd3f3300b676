"""The built-in strategy that brings a file of products into a shop."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

import pyarrow as pa
from pydantic import Field

from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.shop.importing.columns import ColumnMapping, map_file
from batch_jobs.strategies.shop.importing.grouped_import import GroupedImport, GroupedImportContext
from batch_jobs.strategies.shop.importing.grouping import Distinct
from batch_jobs.strategies.shop.importing.headers import (
    BARCODE,
    FIXED,
    PATTERNED,
    PRODUCT_HANDLE,
    PRODUCT_ID,
    SKU,
    VARIANT_ID,
    ProductHeaders,
    read_product_headers,
)
from batch_jobs.strategies.shop.importing.planning import Tally
from batch_jobs.strategies.shop.layouts.reading import (
    MEDUSA,
    layout_columns,
    layout_of,
    refuse_currency,
    refuse_other_layout,
)
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.products.common_values import common_values, find_common_values
from batch_jobs.strategies.shop.products.get_or_create import open_value_tables
from batch_jobs.strategies.shop.products.matching import Rules
from batch_jobs.strategies.shop.products.plan_lines import plan_lines
from batch_jobs.strategies.shop.products.planner import ProductPlanner
from batch_jobs.strategies.shop.products.rows import cells_of
from batch_jobs.strategies.shop.products.ties import why_tied
from batch_jobs.strategies.shop.state import Shop, StateReader

TEMPLATE = """\
Product Id;Product Handle;Product Title;Product Subtitle;Product Description;Product Status;Product Thumbnail;\
Product Weight;Product Discountable;Product Type;Product Tags;Variant Id;Variant Title;Variant SKU;Variant Barcode;\
Variant Inventory Quantity;Variant Allow Backorder;Variant Manage Inventory;Price EUR;Price USD;\
Option 1 Name;Option 1 Value;Image 1 Url;Image 2 Url
;coffee-mug;Coffee Mug;;"Every day; dishwasher-proof";published;;300;true;Kitchen;new,gift;;Blue;MUG-BLUE;;40;false;\
true;12.50;14;Colour;Blue;https://images.example/mug-blue.png;https://images.example/mug.png
;coffee-mug;Coffee Mug;;"Every day; dishwasher-proof";published;;300;true;Kitchen;new,gift;;Red;MUG-RED;;25;false;\
true;12.50;14;Colour;Red;https://images.example/mug-blue.png;https://images.example/mug.png
;tea-pot;Tea Pot;Holds a litre;;draft;;900;true;Kitchen;gift;;One Size;TEA-POT;;8;false;true;39;45;Size;One Size;;
"""


class ProductImportContext(GroupedImportContext):
    """Which file to bring in, and how its products are matched with those of the shop."""

    layout: Literal["medusa", "shopify", "woocommerce"] | None = Field(
        None,
        title="Layout",
        description="Whose product file it is; those of other shops go in as they are; default: by the file's header",
    )
    currency: str | None = Field(
        None,
        title="Currency",
        description="What the prices of another shop's file are in, such as eur; it does not say so itself",
        pattern="^[A-Za-z]{3}$",
    )
    match: Literal["handle", "id"] = Field(
        "handle",
        title="Match",
        description="handle: by Product Id and Variant Id, and without those by handle and SKU; "
        "id: by ids only, an existing handle or SKU is then a reject",
    )
    mode: Literal["upsert", "create", "update"] = Field(
        "upsert",
        title="Mode",
        description="upsert: create and change products; create: reject those the shop has; update: those it has not",
    )


class ProductImport(GroupedImport):
    """Create and change a shop's products and variants from a file, with prices, options, images and tags."""

    identifier = "product-import-strategy"
    batch_type = "product-import"
    Context = ProductImportContext
    keys_are = "products"
    known_columns = (*FIXED, "Price EUR", *PATTERNED)
    writes = (
        tables.product,
        tables.product_shipping_profile,
        *(tables.product_type, tables.product_collection),
        *(tables.image, tables.product_images, tables.product_tag, tables.product_tags),
        *(tables.product_sales_channel, tables.product_category_product),
        *(tables.product_option, tables.product_variant, tables.product_option_value),
        *(tables.money_amount, tables.product_variant_money_amount),
    )

    def prepare(self, context: ProductImportContext) -> ProductImportContext:
        """Refuse what cannot be meant."""
        refuse_currency(context.layout, context.currency)
        return cast(ProductImportContext, super().prepare(context))

    def read_headers(self, file: str, context: ProductImportContext, columns: list[str]) -> ProductHeaders:
        """Medusa's columns of a product file."""
        refuse_other_layout(file, context, columns)
        return read_product_headers(file, self.mapping(context, columns).columns)

    def mapping(self, context: ProductImportContext, columns: list[str]) -> ColumnMapping:
        """What the file's columns are to the import; of another shop's file, what its layout makes of them."""
        return map_file(columns, layout_columns(context, columns))

    def key_of(self, state: StateReader, headers: ProductHeaders, rows: pa.Table) -> pa.Array:
        """The handle: rows with the same one are one product."""
        return cells_of(rows, headers.fixed[PRODUCT_HANDLE])

    def distinct(self, headers: ProductHeaders) -> Distinct:
        """No two rows are one variant, and no two handles one product."""

        def there(*names: str) -> list[str]:
            return [headers.fixed[name] for name in names if name in headers.fixed]

        return Distinct(by_row=there(VARIANT_ID, SKU, BARCODE), by_key=there(PRODUCT_ID))

    def why_tied(self, job: JobRun) -> str | None:
        """Codes that change what a row of another product means; where there are none, common values are noted."""
        headers = self.planned_headers(job)
        reason = why_tied(job, headers, self.distinct(headers))
        if reason is None:
            find_common_values(job, headers)
        return reason

    def units(self, keys: int, rows: int) -> int:
        """Products and variants."""
        return ProductPlanner.units(keys, rows)

    @contextmanager
    def planning(self, job: JobRun, shop: Shop, headers: ProductHeaders) -> Iterator[ProductPlanner]:
        """Plans products."""
        is_of_another = layout_of(job.context, job.plan["_columns"]) != MEDUSA
        with open_value_tables(common_values(job)) as value_tables:
            rules = Rules(job.context.match, job.context.mode, of_another_shop=is_of_another)
            yield ProductPlanner(shop, headers, rules, value_tables, job.rejects.place)

    def describe_plan(self, job: JobRun, tally: Tally) -> None:
        """Say what will happen; the first line is Medusa's to the letter, for its admin reads the numbers out of it."""
        job.describe(
            "product-import-count",
            "Products/variants to import",
            f"There will be {tally.products_created} products created ({tally.products_updated}  updated).\n"
            f"{' ' * 13}{tally.variants_created} variants will be created and {tally.variants_updated} updated",
        )
        for key, name, message in plan_lines(tally):
            job.describe(f"product-import-{key}", name, message)

    def build_template(self) -> str:
        """A small file of two products."""
        return TEMPLATE
