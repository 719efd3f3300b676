"""The built-in strategy that writes a shop's orders to a file."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.shop.exporting.export import (
    DELIMITER,
    Chosen,
    ExportColumn,
    ExportQuery,
    ListConfig,
    ShopExport,
    ShopExportContext,
)
from batch_jobs.strategies.shop.exporting.filters import Condition, choice, moment, number, one_of, search, whole_number
from batch_jobs.strategies.shop.exporting.order_totals import OrderTotals
from batch_jobs.strategies.shop.medusa.order_tables import order

#: Medusa: filters of orders, by the name in ``filterable_fields``.
FILTERS: dict[str, Condition] = {
    **{
        name: one_of(f"entry.{name}")
        for name in (
            "id", "cart_id", "customer_id", "email", "region_id", "currency_code", "sales_channel_id",
        )
    },
    "display_id": whole_number("display_id"),
    "tax_rate": number("tax_rate"),
    **{name: choice(order.c[name]) for name in ("status", "fulfillment_status", "payment_status")},
    **{name: moment(f"entry.{name}") for name in ("canceled_at", "created_at", "updated_at")},
}  # fmt: skip
#: Medusa: totals that can be selected, and relations that can be expanded; not all of them are in the file.
TOTALS = (
    "subtotal", "shipping_total", "discount_total", "raw_discount_total", "gift_card_total", "gift_card_tax_total",
    "refunded_total", "item_tax_total", "shipping_tax_total", "tax_total", "total", "paid_total", "refundable_amount",
)  # fmt: skip
ALL_RELATIONS = (
    "customer", "shipping_address", "sales_channel", "billing_address", "region", "currency", "cart", "discounts",
    "gift_cards", "gift_card_transactions", "shipping_methods", "payments", "fulfillments", "returns", "claims",
    "refunds", "swaps", "draft_order", "items", "edits",
)  # fmt: skip

#: What Medusa selects by default.
RELATIONS = ("customer", "shipping_address", "sales_channel")


@dataclass(frozen=True)
class OrderColumn:
    """A column of the file: its header, its cell, and the field or relation that must be selected for it."""

    header: str
    cell: str
    needs: str
    is_number: bool = False


def _totals() -> list[OrderColumn]:
    names = ("subtotal", "shipping_total", "discount_total", "gift_card_total", "refunded_total", "tax_total", "total")
    return [
        OrderColumn(name.replace("_", " ").title(), f"CAST(entry.{name} AS integer)", name, is_number=True)
        for name in names
    ]


#: Medusa's columns in its order; ``created_at`` and ``id`` are always selected.
COLUMNS = (
    OrderColumn("Order_ID", "entry.id", "id"),
    OrderColumn("Display_ID", "entry.display_id", "display_id", is_number=True),
    OrderColumn("Order status", "CAST(entry.status AS text)", "status"),
    OrderColumn("Date", "entry.created_at", "created_at"),
    OrderColumn("Customer First name", "customer.first_name", "customer"),
    OrderColumn("Customer Last name", "customer.last_name", "customer"),
    OrderColumn("Customer Email", "customer.email", "customer"),
    OrderColumn("Customer ID", "customer.id", "customer"),
    OrderColumn("Shipping Address 1", "address.address_1", "shipping_address"),
    OrderColumn("Shipping Address 2", "address.address_2", "shipping_address"),
    OrderColumn("Shipping Country Code", "address.country_code", "shipping_address"),
    OrderColumn("Shipping City", "address.city", "shipping_address"),
    OrderColumn("Shipping Postal Code", "address.postal_code", "shipping_address"),
    OrderColumn("Shipping Region ID", "entry.region_id", "region_id"),
    OrderColumn("Fulfillment Status", "CAST(entry.fulfillment_status AS text)", "fulfillment_status"),
    OrderColumn("Payment Status", "CAST(entry.payment_status AS text)", "payment_status"),
    *_totals(),
    OrderColumn("Currency Code", "entry.currency_code", "currency_code"),
    OrderColumn("Sales channel name", "channel.name", "sales_channel"),
    OrderColumn("Sales channel description", "channel.description", "sales_channel"),
)


def _search(lower: str) -> Condition:
    """Medusa: words are looked for in the order, its customer and its shipping address."""
    own, customers, addresses = (
        search(lower, "entry.email", "CAST(entry.display_id AS text)"),
        search(lower, "first_name", "last_name", "phone"),
        search(lower, "first_name"),
    )
    return lambda words: (
        f"({own(words)} OR entry.customer_id IN (SELECT id FROM customer WHERE {customers(words)}) "
        f"OR entry.shipping_address_id IN (SELECT id FROM address WHERE {addresses(words)}))"
    )


class OrderExport(ShopExport):
    """Export a shop's orders with customer, shipping address, statuses and totals."""

    identifier = "order-export-strategy"
    batch_type = "order-export"
    table = '"order"'
    noun = "order"
    fields = (*order.columns.keys(), *TOTALS)
    relations = ALL_RELATIONS
    orders = ("created_at", "updated_at", "display_id", "status", "email", "id")

    def filters(self, lower: str) -> dict[str, Condition]:
        """Medusa's filters of orders."""
        return {**FILTERS, "q": _search(lower)}

    def pre_process(self, job: JobRun) -> None:
        """Count the orders, and report what was asked for and has no column, as in Medusa."""
        super().pre_process(job)
        config: ListConfig = job.context.list_config
        in_file = {"id", "created_at", *(column.needs for column in COLUMNS)}
        asked = [*(config.select or ()), *(config.relations or ())]
        job.plan["without_column"] = [name for name in asked if name not in in_file]
        if job.plan["without_column"]:
            job.logger.warning("no column of the file is for %s", ", ".join(job.plan["without_column"]))

    def query(self, context: ShopExportContext, connection: Connection, chosen: Chosen, shape: Any) -> ExportQuery:
        """One row an order."""
        totals = OrderTotals(database_of(connection), chosen.everything)
        source = (
            f"FROM ({totals.orders()}) AS entry LEFT JOIN customer ON customer.id = entry.customer_id "
            "LEFT JOIN address ON address.id = entry.shipping_address_id "
            "LEFT JOIN sales_channel AS channel ON channel.id = entry.sales_channel_id"
        )
        # of all orders no places are needed: they are in order by what the places would go by
        places, order = ("", chosen.order) if chosen.everything else (f"chosen AS ({chosen.placed}), ", ["entry.place"])
        date = database_of(connection).http_date("entry.created_at")
        columns = [
            ExportColumn(
                column.header,
                date if column.header == "Date" else column.cell,
                *([Integer()] if column.is_number else []),
            )
            for column in _selected(context)
        ]
        return ExportQuery(columns, f"WITH {places}{totals.before()} ", source, order)

    def build_template(self) -> str:
        """Medusa: the header."""
        return DELIMITER.join(column.header for column in COLUMNS) + "\n"


def _selected(context: ShopExportContext) -> list[OrderColumn]:
    config = context.list_config
    fields = [column.needs for column in COLUMNS if column.needs not in RELATIONS]
    if config is not None and config.select is not None:
        fields = ["id", "created_at", *config.select]
    relations = RELATIONS if config is None or config.relations is None else config.relations
    return [column for column in COLUMNS if column.needs in (*fields, *relations)]
