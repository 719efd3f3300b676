"""The built-in strategy that writes a shop's products to a file."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from batch_jobs.strategies.shop.exporting.export import Chosen, ExportQuery, ShopExport, ShopExportContext
from batch_jobs.strategies.shop.exporting.filters import Condition, choice, linked, moment, one_of, search, truth
from batch_jobs.strategies.shop.exporting.product_query import ProductQuery, Shape
from batch_jobs.strategies.shop.medusa import tables

#: Medusa: filters of products, by the name in ``filterable_fields``.
FILTERS: dict[str, Condition] = {
    **{name: one_of(f"entry.{name}") for name in ("id", "title", "description", "handle", "collection_id", "type_id")},
    "status": choice(tables.product.c.status),
    "is_giftcard": truth("entry.is_giftcard"),
    "tags": linked("SELECT product_id FROM product_tags WHERE", "product_tag_id"),
    "sales_channel_id": linked("SELECT product_id FROM product_sales_channel WHERE", "sales_channel_id"),
    "category_id": linked("SELECT product_id FROM product_category_product WHERE", "product_category_id"),
    "price_list_id": linked(
        "SELECT variant.product_id FROM product_variant AS variant "
        "JOIN product_variant_money_amount AS link ON link.variant_id = variant.id "
        "JOIN money_amount AS money ON money.id = link.money_amount_id WHERE",
        "money.price_list_id",
    ),
    **{name: moment(f"entry.{name}") for name in ("created_at", "updated_at", "deleted_at")},
}
#: Medusa: fields and relations of products. The file has all columns, whichever of them are asked for.
RELATIONS = (
    "variants", "options", "images", "tags", "type", "collection", "profile", "profiles", "sales_channels",
    "categories",
)  # fmt: skip


def _search(lower: str) -> Condition:
    """Medusa: words are looked for in products, their variants and their collection."""
    own, variants, collection = (
        search(lower, "entry.title", "entry.description"),
        search(lower, "variant.title", "variant.sku"),
        search(lower, "title"),
    )
    return lambda words: (
        f"({own(words)} OR entry.id IN (SELECT product_id FROM product_variant AS variant "
        f"WHERE variant.deleted_at IS NULL AND {variants(words)}) "
        f"OR entry.collection_id IN (SELECT id FROM product_collection WHERE {collection(words)}))"
    )


class ProductExport(ShopExport):
    """Export a shop's products and variants with prices, options, images and tags; the file can be imported again."""

    identifier = "product-export-strategy"
    batch_type = "product-export"
    table = "product"
    noun = "product"
    orders = ("created_at", "updated_at", "title", "handle", "status", "id")
    fields = tuple(tables.product.columns.keys())
    relations = RELATIONS
    always = ("entry.deleted_at IS NULL",)

    def filters(self, lower: str) -> dict[str, Condition]:
        """Medusa's filters of products."""
        return {**FILTERS, "q": _search(lower)}

    def shape(self, connection: Connection, chosen: Chosen) -> Any:
        """As many columns as the widest product needs."""
        return asdict(ProductQuery(connection, chosen).shape())

    def query(self, context: ShopExportContext, connection: Connection, chosen: Chosen, shape: Any) -> ExportQuery:
        """One row a variant."""
        return ProductQuery(connection, chosen).query(Shape(**shape))
