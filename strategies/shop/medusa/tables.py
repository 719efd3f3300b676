"""The tables of a shop's catalogue, as a Medusa v1.20 database has them; its orders are in ``order_tables``.

Names, types, defaults and keys are those of the catalog of a running Medusa (``docs/medusa.md``). Foreign keys to
tables that no batch job reads or writes are left out, and so are those tables.
"""

from sqlalchemy import (
    REAL,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from batch_jobs.strategies.shop.medusa.column_types import (
    choice,
    flag,
    identified,
    indexed,
    integers,
    jsonb,
    moments,
    needed,
    reference,
    times,
    unique_while_live,
    varchars,
)

metadata = MetaData(naming_convention={"fk": "fk_%(table_name)s_%(column_0_name)s"})

currency = Table(
    "currency",
    metadata,
    Column("code", String, primary_key=True),
    *(needed(name) for name in ("symbol", "symbol_native", "name")),
)

region = Table(
    "region",
    metadata,
    identified(),
    needed("name"),
    reference("currency_code", "currency.code", nullable=False),
    Column("tax_rate", REAL, nullable=False),
    *varchars("tax_code"),
    *times(soft=True),
    flag("gift_cards_taxable", True),
    flag("automatic_taxes", True),
    *varchars("tax_provider_id"),
)
indexed(region, "currency_code")

country = Table(
    "country",
    metadata,
    Column("id", Integer, primary_key=True),
    needed("iso_2"),
    needed("iso_3"),
    Column("num_code", Integer, nullable=False),
    needed("name"),
    needed("display_name"),
    reference("region_id", "region"),
)
indexed(country, "region_id")
Index("uq_country_iso_2", country.c.iso_2, unique=True)

sales_channel = Table(
    "sales_channel",
    metadata,
    identified(),
    *times(soft=True, metadata=False),
    needed("name"),
    *varchars("description"),
    flag("is_disabled", False),
    Column("metadata", jsonb),
)

store = Table(
    "store",
    metadata,
    identified(),
    needed("name", "Medusa Store"),
    Column("default_currency_code", String, ForeignKey("currency.code"), nullable=False, server_default="usd"),
    *varchars("swap_link_template"),
    *times(),
    *varchars("payment_link_template", "invite_link_template"),
    reference("default_sales_channel_id", "sales_channel"),
    *varchars("default_location_id"),
)
Index("uq_store_default_sales_channel_id", store.c.default_sales_channel_id, unique=True)

shipping_profile = Table(
    "shipping_profile",
    metadata,
    identified(),
    needed("name"),
    choice("type", "shipping_profile_type_enum", "default gift_card custom"),
    *times(soft=True),
)

shipping_option = Table(
    "shipping_option",
    metadata,
    identified(),
    needed("name"),
    reference("region_id", "region", nullable=False),
    reference("profile_id", "shipping_profile", nullable=False),
    needed("provider_id"),
    choice("price_type", "shipping_option_price_type_enum", "flat_rate calculated"),
    Column("amount", Integer),
    flag("is_return", False),
    Column("data", jsonb, nullable=False),
    *times(soft=True),
    flag("admin_only", False),
    CheckConstraint("amount >= 0"),
)
indexed(shipping_option, "region_id", "provider_id", "profile_id")

product_collection = Table(
    "product_collection", metadata, identified(), needed("title"), *varchars("handle"), *times(soft=True)
)
unique_while_live(product_collection, "handle")

product_type = Table("product_type", metadata, identified(), needed("value"), *times(soft=True))

product = Table(
    "product",
    metadata,
    identified(),
    needed("title"),
    *varchars("subtitle", "description", "handle"),
    flag("is_giftcard", False),
    *varchars("thumbnail"),
    *integers("weight", "length", "height", "width"),
    *varchars("hs_code", "origin_country", "mid_code", "material"),
    *times(soft=True),
    reference("collection_id", "product_collection"),
    reference("type_id", "product_type"),
    flag("discountable", True),
    choice("status", "product_status_enum", "draft proposed published rejected", "draft"),
    *varchars("external_id"),
)
unique_while_live(product, "handle")

product_variant = Table(
    "product_variant",
    metadata,
    identified(),
    needed("title"),
    reference("product_id", "product", nullable=False),
    *varchars("sku", "barcode", "ean", "upc"),
    Column("inventory_quantity", Integer, nullable=False),
    flag("allow_backorder", False),
    flag("manage_inventory", True),
    *varchars("hs_code", "origin_country", "mid_code", "material"),
    *integers("weight", "length", "height", "width"),
    *times(soft=True),
    Column("variant_rank", Integer, server_default=text("0")),
)
for _code in ("sku", "barcode", "ean", "upc"):
    unique_while_live(product_variant, _code)
indexed(product_variant, "product_id")

product_option = Table(
    "product_option", metadata, identified(), needed("title"), *times(soft=True), reference("product_id", "product")
)

product_option_value = Table(
    "product_option_value",
    metadata,
    identified(),
    needed("value"),
    reference("option_id", "product_option", nullable=False),
    reference("variant_id", "product_variant", nullable=False, ondelete="CASCADE"),
    *times(soft=True),
)
indexed(product_option_value, "option_id", "variant_id")

price_list = Table(
    "price_list",
    metadata,
    identified(),
    needed("name"),
    needed("description"),
    choice("type", "price_list_type_enum", "sale override", "sale"),
    choice("status", "price_list_status_enum", "active draft", "draft"),
    *moments("starts_at", "ends_at"),
    *times(soft=True, metadata=False),
)

money_amount = Table(
    "money_amount",
    metadata,
    identified(),
    reference("currency_code", "currency.code", nullable=False),
    Column("amount", Integer, nullable=False),
    reference("region_id", "region"),
    *times(soft=True, metadata=False),
    *integers("min_quantity", "max_quantity"),
    reference("price_list_id", "price_list", ondelete="CASCADE"),
)
indexed(money_amount, "currency_code", "region_id")

product_variant_money_amount = Table(
    "product_variant_money_amount",
    metadata,
    identified(),
    Column("money_amount_id", Text, nullable=False),
    Column("variant_id", Text, nullable=False),
    *moments("deleted_at"),
    *times(metadata=False),
)
Index("uq_variant_money_amount", product_variant_money_amount.c.money_amount_id, unique=True)
indexed(product_variant_money_amount, "variant_id")

image = Table("image", metadata, identified(), needed("url"), *times(soft=True))

product_images = Table(
    "product_images",
    metadata,
    reference("product_id", "product", ondelete="CASCADE", primary_key=True),
    reference("image_id", "image", ondelete="CASCADE", primary_key=True),
)
indexed(product_images, "image_id", "product_id")

product_tag = Table("product_tag", metadata, identified(), needed("value"), *times(soft=True))

product_tags = Table(
    "product_tags",
    metadata,
    reference("product_id", "product", ondelete="CASCADE", primary_key=True),
    reference("product_tag_id", "product_tag", ondelete="CASCADE", primary_key=True),
)
indexed(product_tags, "product_tag_id", "product_id")

product_sales_channel = Table(
    "product_sales_channel",
    metadata,
    Column("product_id", String, primary_key=True),
    reference("sales_channel_id", "sales_channel", ondelete="CASCADE", primary_key=True),
)
indexed(product_sales_channel, "sales_channel_id", "product_id")

product_shipping_profile = Table(
    "product_shipping_profile",
    metadata,
    Column("profile_id", Text, nullable=False),
    Column("product_id", Text, nullable=False),
)
indexed(product_shipping_profile, "product_id", "profile_id")
Index("uq_product_shipping_profile", *product_shipping_profile.c["profile_id", "product_id"], unique=True)

product_category = Table(
    "product_category",
    metadata,
    identified(),
    Column("name", Text, nullable=False),
    Column("handle", Text, nullable=False),
    *varchars("parent_category_id"),
    Column("mpath", Text),
    Column("is_active", Boolean, server_default=text("false")),
    Column("is_internal", Boolean, server_default=text("false")),
    *times(metadata=False),
    Column("rank", Integer, nullable=False, server_default=text("0")),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("metadata", jsonb),
    CheckConstraint("rank >= 0"),
)
indexed(product_category, "mpath")
Index("uq_product_category_handle", product_category.c.handle, unique=True)
Index("uq_product_category_rank", *product_category.c["parent_category_id", "rank"], unique=True)

product_category_product = Table(
    "product_category_product",
    metadata,
    reference("product_category_id", "product_category", nullable=False, ondelete="CASCADE"),
    reference("product_id", "product", nullable=False, ondelete="CASCADE"),
)
indexed(product_category_product, "product_category_id", "product_id")
Index("uq_product_category_product", *product_category_product.c["product_category_id", "product_id"], unique=True)
