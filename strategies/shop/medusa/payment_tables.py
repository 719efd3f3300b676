"""The tables of how orders are shipped, paid and discounted; on the catalogue's ``metadata``."""

from sqlalchemy import REAL, Boolean, CheckConstraint, Column, DateTime, Index, Integer, Table, text

from batch_jobs.strategies.shop.medusa.column_types import (
    choice,
    flag,
    identified,
    indexed,
    jsonb,
    moments,
    needed,
    reference,
    times,
    unique_where,
    varchars,
)
from batch_jobs.strategies.shop.medusa.tables import metadata

shipping_method = Table(
    "shipping_method",
    metadata,
    identified(),
    reference("shipping_option_id", "shipping_option", nullable=False),
    reference("order_id", "order"),
    reference("cart_id", "cart"),
    reference("swap_id", "swap"),
    reference("return_id", "return"),
    Column("price", Integer, nullable=False),
    Column("data", jsonb, nullable=False),
    reference("claim_order_id", "claim_order"),
    CheckConstraint("price >= 0"),
    CheckConstraint(
        "claim_order_id IS NOT NULL OR order_id IS NOT NULL OR cart_id IS NOT NULL OR swap_id IS NOT NULL "
        "OR return_id IS NOT NULL"
    ),
)
Index("uq_shipping_method_return_id", shipping_method.c.return_id, unique=True)
indexed(shipping_method, "order_id", "claim_order_id", "cart_id", "swap_id", "shipping_option_id")

shipping_method_tax_line = Table(
    "shipping_method_tax_line",
    metadata,
    identified(),
    Column("rate", REAL, nullable=False),
    needed("name"),
    *varchars("code"),
    *times(),
    reference("shipping_method_id", "shipping_method", nullable=False),
)
indexed(shipping_method_tax_line, "shipping_method_id")
Index("uq_shipping_method_tax_line", *shipping_method_tax_line.c["shipping_method_id", "code"], unique=True)

payment = Table(
    "payment",
    metadata,
    identified(),
    reference("swap_id", "swap"),
    reference("cart_id", "cart"),
    reference("order_id", "order"),
    Column("amount", Integer, nullable=False),
    reference("currency_code", "currency.code", nullable=False),
    Column("amount_refunded", Integer, nullable=False, server_default=text("0")),
    needed("provider_id"),
    Column("data", jsonb, nullable=False),
    *moments("captured_at", "canceled_at"),
    *times(),
    *varchars("idempotency_key"),
)
Index("uq_payment_swap_id", payment.c.swap_id, unique=True)
unique_where(payment, text("canceled_at IS NULL"), "cart_id")
indexed(payment, "cart_id", "provider_id", "order_id", "currency_code")

refund = Table(
    "refund",
    metadata,
    identified(),
    reference("order_id", "order"),
    Column("amount", Integer, nullable=False),
    *varchars("note"),
    choice("reason", "refund_reason_enum", "discount return swap claim other"),
    *times(),
    *varchars("idempotency_key"),
    reference("payment_id", "payment"),
)
indexed(refund, "order_id", "payment_id")

fulfillment = Table(
    "fulfillment",
    metadata,
    identified(),
    reference("swap_id", "swap"),
    reference("order_id", "order"),
    Column("tracking_numbers", jsonb, nullable=False, server_default=text("'[]'")),
    Column("data", jsonb, nullable=False),
    *moments("shipped_at", "canceled_at"),
    *times(),
    *varchars("idempotency_key", "provider_id"),
    reference("claim_order_id", "claim_order"),
    Column("no_notification", Boolean),
    *varchars("location_id"),
)
indexed(fulfillment, "swap_id", "provider_id", "claim_order_id", "order_id")

fulfillment_item = Table(
    "fulfillment_item",
    metadata,
    reference("fulfillment_id", "fulfillment", primary_key=True),
    reference("item_id", "line_item", primary_key=True),
    Column("quantity", Integer, nullable=False),
)

gift_card = Table(
    "gift_card",
    metadata,
    identified(),
    needed("code"),
    Column("value", Integer, nullable=False),
    Column("balance", Integer, nullable=False),
    reference("region_id", "region", nullable=False),
    reference("order_id", "order"),
    flag("is_disabled", False),
    *moments("ends_at"),
    *times(soft=True),
    Column("tax_rate", REAL),
)
Index("uq_gift_card_code", gift_card.c.code, unique=True)
indexed(gift_card, "region_id", "order_id")

gift_card_transaction = Table(
    "gift_card_transaction",
    metadata,
    identified(),
    reference("gift_card_id", "gift_card", nullable=False),
    reference("order_id", "order", nullable=False),
    Column("amount", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("CURRENT_TIMESTAMP")),
    Column("is_taxable", Boolean),
    Column("tax_rate", REAL),
)
indexed(gift_card_transaction, "order_id")
Index("uq_gift_card_transaction", *gift_card_transaction.c["gift_card_id", "order_id"], unique=True)

order_discounts = Table(
    "order_discounts",
    metadata,
    reference("order_id", "order", ondelete="CASCADE", primary_key=True),
    reference("discount_id", "discount", ondelete="CASCADE", primary_key=True),
)
indexed(order_discounts, "discount_id", "order_id")

order_gift_cards = Table(
    "order_gift_cards",
    metadata,
    reference("order_id", "order", ondelete="CASCADE", primary_key=True),
    reference("gift_card_id", "gift_card", ondelete="CASCADE", primary_key=True),
)
indexed(order_gift_cards, "gift_card_id", "order_id")
