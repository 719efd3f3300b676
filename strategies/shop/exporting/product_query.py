"""The query of a product export: one row a variant, with as many columns as the widest product needs."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, Connection, Integer, Numeric

from batch_jobs.strategies.sdk.database import database_of, driver_of
from batch_jobs.strategies.shop.exporting.export import Chosen, ExportColumn, ExportQuery
from batch_jobs.strategies.shop.exporting.filters import literal
from batch_jobs.strategies.shop.importing.headers import PRODUCT_FIELDS, VARIANT_FIELDS
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.prices.money import decimals_of

#: Medusa's order of the columns before the prices.
PRODUCT_COLUMNS = (
    *(name for name in PRODUCT_FIELDS if name not in ("Product Discountable", "Product External Id")),
    "Product Collection Title",
    "Product Collection Handle",
    "Product Type",
    "Product Tags",
    "Product Discountable",
    "Product External Id",
    "Product Profile Name",
    "Product Profile Type",
)
#: Columns that are not the product's own.
OF_PRODUCT = {
    "Product Collection Title": "collection.title",
    "Product Collection Handle": "collection.handle",
    "Product Type": "type.value",
    "Product Tags": "tag.words",
    "Product Profile Name": "profile.name",
    "Product Profile Type": "CAST(profile.type AS text)",
}
#: The prices that are a variant's own: none of a price list, none for a quantity.
OWN_PRICES = (
    "link.deleted_at IS NULL AND money.deleted_at IS NULL AND money.price_list_id IS NULL "
    "AND money.min_quantity IS NULL AND money.max_quantity IS NULL"
)


@dataclass(frozen=True)
class Shape:
    """The widest product's columns: prices as currency, region's id and region's name, and how many of the others."""

    prices: list[tuple[str, str | None, str | None]]
    options: int
    images: int
    channels: int
    categories: int


class ProductQuery:
    """Reads the products of one selection.

    Args:
        connection: to the shop, in the transaction that reads the products, too.
        chosen: which they are.
    """

    def __init__(self, connection: Connection, chosen: Chosen) -> None:
        self._driver = driver_of(connection)
        self._database = database_of(connection)
        # the order in which links were written is the order in which an import had them
        self._written = self._database.written_order
        self._chosen = chosen

    def query(self, shape: Shape) -> ExportQuery:
        """The query with these columns."""
        by_shape = (self._prices, self._options, self._images, self._channels, self._categories)
        parts = [self._tags(), *(part(shape) for part in by_shape)]
        source = (
            "FROM chosen JOIN product ON product.id = chosen.id "
            "JOIN product_variant AS variant ON variant.product_id = product.id AND variant.deleted_at IS NULL "
            "LEFT JOIN product_collection AS collection ON collection.id = product.collection_id "
            "LEFT JOIN product_type AS type ON type.id = product.type_id "
            "LEFT JOIN (SELECT product_id, min(profile_id) AS profile_id FROM product_shipping_profile "
            "GROUP BY product_id) AS profiled ON profiled.product_id = product.id "
            "LEFT JOIN shipping_profile AS profile ON profile.id = profiled.profile_id " + " ".join(filter(None, parts))
        )
        order = ["chosen.place", "variant.variant_rank", "variant.created_at", "variant.id"]
        variants = "SELECT count(*) FROM chosen JOIN product_variant ON product_id = chosen.id WHERE deleted_at IS NULL"
        return ExportQuery(
            self._columns(shape),
            f"WITH chosen AS ({self._chosen.placed}) ",
            source,
            order,
            int(self._rows(variants)[0][0]),
        )

    def shape(self) -> Shape:
        """The columns that these products need."""
        prices = self._rows(
            "SELECT DISTINCT money.currency_code, money.region_id, region.name FROM chosen "
            "JOIN product_variant AS variant ON variant.product_id = chosen.id "
            "JOIN product_variant_money_amount AS link ON link.variant_id = variant.id "
            "JOIN money_amount AS money ON money.id = link.money_amount_id "
            "LEFT JOIN region ON region.id = money.region_id AND region.currency_code = money.currency_code "
            "AND region.deleted_at IS NULL "
            f"WHERE {OWN_PRICES} AND variant.deleted_at IS NULL AND (money.region_id IS NULL OR region.id IS NOT NULL)"
        )
        return Shape(
            prices=sorted(prices, key=lambda price: (price[1] is not None, price[2] or "", price[0], price[1] or "")),
            options=self._most("product_option", " WHERE deleted_at IS NULL"),
            images=self._most("product_images"),
            channels=self._most("product_sales_channel"),
            categories=self._most("product_category_product"),
        )

    def _most(self, table: str, where: str = "") -> int:
        links = f"FROM {table} JOIN chosen ON chosen.id = product_id{where} GROUP BY product_id"
        counts = f"SELECT count(*) AS number {links}"
        return int(self._rows(f"SELECT coalesce(max(number), 0) FROM ({counts}) AS counted")[0][0])

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return list(self._driver.execute(f"WITH chosen AS ({self._chosen.ids}) {query}").fetchall())

    def _of_chosen(self, column: str) -> str:
        """The join that keeps to the chosen products, where they are not all."""
        return "" if self._chosen.everything else f"JOIN chosen ON chosen.id = {column} "

    def _columns(self, shape: Shape) -> list[ExportColumn]:
        product = [ExportColumn("Product Id", "product.id")]
        for name in PRODUCT_COLUMNS:
            product.append(ExportColumn(name, OF_PRODUCT[name]) if name in OF_PRODUCT else _own(name))
        variant = [ExportColumn("Variant Id", "variant.id"), *map(_own, VARIANT_FIELDS)]
        prices = [
            ExportColumn(_price_header(*price), f"price.price_{number}", Numeric())
            for number, price in enumerate(shape.prices)
        ]
        options = [
            ExportColumn(f"Option {number} {part}", f"option.{part.lower()}_{number}")
            for number in range(1, shape.options + 1)
            for part in ("Name", "Value")
        ]
        images = [ExportColumn(f"Image {number} Url", f"image.url_{number}") for number in range(1, shape.images + 1)]
        channels = [
            ExportColumn(f"Sales Channel {number} {part}", f"channel.{part.lower()}_{number}")
            for number in range(1, shape.channels + 1)
            for part in ("Id", "Name", "Description")
        ]
        categories = [
            ExportColumn(f"Product Category {number} {part}", f"category.{part.lower()}_{number}")
            for number in range(1, shape.categories + 1)
            for part in ("Handle", "Name", "Description")
        ]
        return [*product, *variant, *prices, *options, *images, *channels, *categories]

    def _tags(self) -> str:
        tags = self._database.concatenated(
            f"SELECT link.product_id AS key, tag.value AS word, link.{self._written} AS place "
            "FROM product_tags AS link JOIN product_tag AS tag ON tag.id = link.product_tag_id "
            f"{self._of_chosen('link.product_id')}"
            "WHERE tag.deleted_at IS NULL"
        )
        return f"LEFT JOIN ({tags}) AS tag ON tag.key = product.id"

    def _prices(self, shape: Shape) -> str:
        if not shape.prices:
            return ""
        # two prices of one kind should not be; the highest then counts, here as in an import
        highest = [f"max(CASE WHEN {_is_price(*price)} THEN money.amount END)" for price in shape.prices]
        cells = [
            f"{_major_units(price[0], f'amount_{number}')} AS price_{number}"
            for number, price in enumerate(shape.prices)
        ]
        amounts = [f"{amount} AS amount_{number}" for number, amount in enumerate(highest)]
        return (
            f"LEFT JOIN (SELECT variant_id, {', '.join(cells)} FROM (SELECT link.variant_id, {', '.join(amounts)} "
            "FROM product_variant_money_amount AS link JOIN money_amount AS money ON money.id = link.money_amount_id "
            f"WHERE {OWN_PRICES} GROUP BY link.variant_id) AS amounts) AS price ON price.variant_id = variant.id"
        )

    def _options(self, shape: Shape) -> str:
        if not shape.options:
            return ""
        numbered = (
            "SELECT product_option.id, title, row_number() OVER "
            "(PARTITION BY product_id ORDER BY created_at, product_option.id) AS number "
            f"FROM product_option {self._of_chosen('product_id')}WHERE deleted_at IS NULL"
        )
        cells = [
            f"max(CASE WHEN number = {number} THEN {cell} END) AS {part}_{number}"
            for number in range(1, shape.options + 1)
            for part, cell in (("name", "numbered.title"), ("value", "given.value"))
        ]
        return (
            f"LEFT JOIN (SELECT given.variant_id, {', '.join(cells)} FROM product_option_value AS given "
            f"JOIN ({numbered}) AS numbered ON numbered.id = given.option_id WHERE given.deleted_at IS NULL "
            "GROUP BY given.variant_id) AS option ON option.variant_id = variant.id"
        )

    def _images(self, shape: Shape) -> str:
        members = (
            "product_images AS link JOIN image AS member ON member.id = link.image_id AND member.deleted_at IS NULL"
        )
        return self._spread("image", members, shape.images, ["url"])

    def _channels(self, shape: Shape) -> str:
        members = (
            "product_sales_channel AS link JOIN sales_channel AS member "
            "ON member.id = link.sales_channel_id AND member.deleted_at IS NULL"
        )
        return self._spread("channel", members, shape.channels, ["id", "name", "description"])

    def _categories(self, shape: Shape) -> str:
        members = (
            "product_category_product AS link JOIN product_category AS member ON member.id = link.product_category_id"
        )
        return self._spread("category", members, shape.categories, ["handle", "name", "description"])

    def _spread(self, name: str, members: str, most: int, parts: list[str]) -> str:
        """The members of a product's set side by side."""
        if not most:
            return ""
        numbered = (
            f"SELECT link.product_id, {', '.join(f'member.{part}' for part in parts)}, row_number() OVER "
            f"(PARTITION BY link.product_id ORDER BY link.{self._written}) AS number FROM {members} "
            f"{self._of_chosen('link.product_id')}"
        )
        cells = [
            f"max(CASE WHEN number = {number} THEN {part} END) AS {part}_{number}"
            for number in range(1, most + 1)
            for part in parts
        ]
        return (
            f"LEFT JOIN (SELECT product_id, {', '.join(cells)} FROM ({numbered}) AS numbered GROUP BY product_id) "
            f"AS {name} ON {name}.product_id = product.id"
        )


def _own(name: str) -> ExportColumn:
    """A column of the product's or the variant's own."""
    alias, table, fields = (
        ("variant", tables.product_variant, VARIANT_FIELDS)
        if name in VARIANT_FIELDS
        else ("product", tables.product, PRODUCT_FIELDS)
    )
    kind = table.c[fields[name]].type
    cell = f"{alias}.{fields[name]}"
    if isinstance(kind, Boolean | Integer):
        return ExportColumn(name, cell, kind)
    return ExportColumn(name, f"CAST({cell} AS text)" if fields[name] == "status" else cell)


def _price_header(currency: str, region_id: str | None, region: str | None) -> str:
    return f"Price {currency.upper()}" if region_id is None else f"Price {region} [{currency.upper()}]"


def _is_price(currency: str, region_id: str | None, _region: str | None) -> str:
    of_region = "money.region_id IS NULL" if region_id is None else f"money.region_id = {literal(region_id)}"
    return f"money.currency_code = {literal(currency)} AND {of_region}"


def _major_units(currency: str, amount: str) -> str:
    """An amount as a price without needless zeros, in SQL that both databases read alike."""
    decimals = decimals_of(currency)
    if not decimals:
        return f"CAST({amount} AS text)"
    units = 10**decimals
    # the units in front keep the zeros of the fraction
    fraction = f"substr(CAST({units} + abs({amount}) % {units} AS text), 2)"
    return (
        f"CASE WHEN {amount} < 0 THEN '-' ELSE '' END || CAST(abs({amount}) / {units} AS text) || "
        f"CASE WHEN {amount} % {units} = 0 THEN '' ELSE '.' || rtrim({fraction}, '0') END"
    )
