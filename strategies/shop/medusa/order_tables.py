"""The tables of a shop's orders, as a Medusa v1.20 database has them; on the catalogue's ``metadata``."""

from sqlalchemy import REAL, Boolean, CheckConstraint, Column, Index, Integer, Numeric, Sequence, Table, text

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
    unique_where,
    unique_while_live,
    varchars,
)
from batch_jobs.strategies.shop.medusa.tables import metadata

FULFILLED = (
    "not_fulfilled partially_fulfilled fulfilled partially_shipped shipped partially_returned returned canceled "
    "requires_action"
)
SWAP_FULFILLED = "not_fulfilled fulfilled shipped partially_shipped canceled requires_action"
SWAP_PAID = (
    "not_paid awaiting captured confirmed canceled difference_refunded partially_refunded refunded requires_action"
)

address = Table(
    "address",
    metadata,
    identified(),
    reference("customer_id", "customer"),
    *varchars("company", "first_name", "last_name", "address_1", "address_2", "city"),
    reference("country_code", "country.iso_2"),
    *varchars("province", "postal_code", "phone"),
    *times(soft=True),
)
indexed(address, "customer_id")

customer = Table(
    "customer",
    metadata,
    identified(),
    needed("email"),
    *varchars("first_name", "last_name"),
    reference("billing_address_id", "address"),
    *varchars("password_hash", "phone"),
    flag("has_account", False),
    *times(soft=True),
)
Index("uq_customer_billing_address_id", customer.c.billing_address_id, unique=True)
unique_while_live(customer, "email", "has_account")

cart = Table(
    "cart",
    metadata,
    identified(),
    *varchars("email"),
    reference("billing_address_id", "address"),
    reference("shipping_address_id", "address"),
    reference("region_id", "region", nullable=False),
    reference("customer_id", "customer"),
    reference("payment_id", "payment"),
    choice("type", "cart_type_enum", "default swap draft_order payment_link claim", "default"),
    *moments("completed_at"),
    *times(soft=True),
    *varchars("idempotency_key"),
    Column("context", jsonb),
    *moments("payment_authorized_at"),
    reference("sales_channel_id", "sales_channel"),
)
Index("uq_cart_payment_id", cart.c.payment_id, unique=True)
indexed(cart, "customer_id", "region_id", "billing_address_id", "shipping_address_id")

order = Table(
    "order",
    metadata,
    identified(),
    choice("status", "order_status_enum", "pending completed archived canceled requires_action", "pending"),
    choice("fulfillment_status", "order_fulfillment_status_enum", FULFILLED, "not_fulfilled"),
    choice(
        "payment_status",
        "order_payment_status_enum",
        "not_paid awaiting captured partially_refunded refunded canceled requires_action",
        "not_paid",
    ),
    Column(
        "display_id",
        Integer,
        Sequence("order_display_id_seq", metadata=metadata),
        nullable=False,
    ),
    reference("cart_id", "cart"),
    reference("customer_id", "customer", nullable=False),
    needed("email"),
    reference("billing_address_id", "address"),
    reference("shipping_address_id", "address"),
    reference("region_id", "region", nullable=False),
    reference("currency_code", "currency.code", nullable=False),
    Column("tax_rate", REAL),
    *moments("canceled_at"),
    *times(),
    *varchars("idempotency_key", "draft_order_id"),
    Column("no_notification", Boolean),
    *varchars("external_id"),
    reference("sales_channel_id", "sales_channel"),
)
Index("uq_order_cart_id", order.c.cart_id, unique=True)
Index("uq_order_draft_order_id", order.c.draft_order_id, unique=True)
indexed(order, "shipping_address_id", "billing_address_id", "display_id", "customer_id", "region_id", "currency_code")

swap = Table(
    "swap",
    metadata,
    identified(),
    choice("fulfillment_status", "swap_fulfillment_status_enum", SWAP_FULFILLED),
    choice("payment_status", "swap_payment_status_enum", SWAP_PAID),
    reference("order_id", "order", nullable=False),
    *integers("difference_due"),
    reference("shipping_address_id", "address"),
    reference("cart_id", "cart"),
    *moments("confirmed_at"),
    *times(soft=True),
    *varchars("idempotency_key"),
    Column("no_notification", Boolean),
    *moments("canceled_at"),
    flag("allow_backorder", False),
)
Index("uq_swap_cart_id", swap.c.cart_id, unique=True)
indexed(swap, "order_id")

claim_order = Table(
    "claim_order",
    metadata,
    identified(),
    choice("payment_status", "claim_order_payment_status_enum", "na not_refunded refunded", "na"),
    choice("fulfillment_status", "claim_order_fulfillment_status_enum", FULFILLED, "not_fulfilled"),
    choice("type", "claim_order_type_enum", "refund replace"),
    reference("order_id", "order", nullable=False),
    reference("shipping_address_id", "address"),
    *integers("refund_amount"),
    *moments("canceled_at"),
    *times(soft=True),
    *varchars("idempotency_key"),
    Column("no_notification", Boolean),
)
indexed(claim_order, "shipping_address_id", "order_id")

order_edit = Table(
    "order_edit",
    metadata,
    identified(),
    *times(metadata=False),
    reference("order_id", "order", nullable=False),
    *varchars("internal_note"),
    needed("created_by"),
    *varchars("requested_by"),
    *moments("requested_at"),
    *varchars("confirmed_by"),
    *moments("confirmed_at"),
    *varchars("declined_by", "declined_reason"),
    *moments("declined_at"),
    *varchars("canceled_by"),
    *moments("canceled_at"),
    *varchars("payment_collection_id"),
)
indexed(order_edit, "order_id", "payment_collection_id")

returned = Table(
    "return",
    metadata,
    identified(),
    choice("status", "return_status_enum", "requested received requires_action canceled", "requested"),
    reference("swap_id", "swap"),
    reference("order_id", "order"),
    Column("shipping_data", jsonb),
    Column("refund_amount", Integer, nullable=False),
    *moments("received_at"),
    *times(),
    *varchars("idempotency_key"),
    reference("claim_order_id", "claim_order"),
    Column("no_notification", Boolean),
    *varchars("location_id"),
)
Index("uq_return_swap_id", returned.c.swap_id, unique=True)
Index("uq_return_claim_order_id", returned.c.claim_order_id, unique=True)
indexed(returned, "order_id")

line_item = Table(
    "line_item",
    metadata,
    identified(),
    reference("cart_id", "cart"),
    reference("order_id", "order"),
    reference("swap_id", "swap"),
    needed("title"),
    *varchars("description", "thumbnail"),
    flag("is_giftcard", False),
    flag("should_merge", True),
    flag("allow_discounts", True),
    Column("has_shipping", Boolean),
    Column("unit_price", Integer, nullable=False),
    reference("variant_id", "product_variant"),
    Column("quantity", Integer, nullable=False),
    *integers("fulfilled_quantity", "returned_quantity", "shipped_quantity"),
    *times(),
    reference("claim_order_id", "claim_order"),
    flag("is_return", False),
    reference("original_item_id", "line_item"),
    reference("order_edit_id", "order_edit"),
    CheckConstraint("shipped_quantity <= fulfilled_quantity"),
    CheckConstraint("quantity > 0"),
    CheckConstraint("returned_quantity <= quantity"),
    CheckConstraint("fulfilled_quantity <= quantity"),
)
indexed(line_item, "claim_order_id", "cart_id", "swap_id", "order_id", "variant_id")
unique_where(
    line_item,
    text("original_item_id IS NOT NULL AND order_edit_id IS NOT NULL"),
    "order_edit_id",
    "original_item_id",
)

discount_rule = Table(
    "discount_rule",
    metadata,
    identified(),
    *varchars("description"),
    choice("type", "discount_rule_type_enum", "fixed percentage free_shipping"),
    Column("value", Integer, nullable=False),
    choice("allocation", "discount_rule_allocation_enum", "total item", nullable=True),
    *times(soft=True),
)

discount = Table(
    "discount",
    metadata,
    identified(),
    needed("code"),
    Column("is_dynamic", Boolean, nullable=False),
    reference("rule_id", "discount_rule"),
    Column("is_disabled", Boolean, nullable=False),
    reference("parent_discount_id", "discount"),
    Column("starts_at", moments("starts_at")[0].type, nullable=False, server_default=text("CURRENT_TIMESTAMP")),
    *moments("ends_at"),
    *times(soft=True),
    *integers("usage_limit"),
    Column("usage_count", Integer, nullable=False, server_default=text("0")),
    *varchars("valid_duration"),
)
unique_while_live(discount, "code")
indexed(discount, "rule_id")

line_item_adjustment = Table(
    "line_item_adjustment",
    metadata,
    identified(),
    reference("item_id", "line_item", nullable=False, ondelete="CASCADE"),
    needed("description"),
    reference("discount_id", "discount"),
    Column("amount", Numeric, nullable=False),
    Column("metadata", jsonb),
)
indexed(line_item_adjustment, "discount_id", "item_id")
unique_where(line_item_adjustment, text("discount_id IS NOT NULL"), "discount_id", "item_id")

line_item_tax_line = Table(
    "line_item_tax_line",
    metadata,
    identified(),
    Column("rate", REAL, nullable=False),
    needed("name"),
    *varchars("code"),
    *times(),
    reference("item_id", "line_item", nullable=False, ondelete="CASCADE"),
)
indexed(line_item_tax_line, "item_id")
Index("uq_line_item_tax_line", *line_item_tax_line.c["item_id", "code"], unique=True)
