"""The totals of orders in SQL, in minor units, as Medusa v1 computes them for its export.

Medusa: halves are rounded up, towards plus infinity. Returned quantities are not taken off, and items of swaps and
claims do not count. The two databases read all of it alike.

What belongs to an order is added up in one pass over all kinds of rows: a hash table for each kind, each looked up for
every order, took most of the time of an export.
"""

from collections.abc import Mapping

from batch_jobs.strategies.sdk.database import Database

WHOLE, FRACTION = "integer", "double precision"
#: What is added up of all orders' rows, and its type; of other kinds an order seldom has rows.
AMOUNTS = {
    "items": WHOLE,
    "discountable": WHOLE,
    "item_tax": FRACTION,
    "shipping": WHOLE,
    "shipping_tax": FRACTION,
    "refunds": WHOLE,
}
#: The same of adjustments, gift cards and their transactions, and how many discounts free of shipping.
RARE = {
    "adjustments": "numeric",
    "balance": WHOLE,
    "balance_tax": FRACTION,
    "paid": WHOLE,
    "paid_tax": FRACTION,
    "free_shipping": WHOLE,
}

#: An item's price, which is its order's subtotal.
PRICE = "item.unit_price * item.quantity"
#: What of it is taxed; exact decimals are slow, so only where there are any.
TAXED = f"CASE WHEN adjusted.untaxed IS NULL THEN CAST({PRICE} AS {FRACTION}) ELSE {PRICE} - adjusted.untaxed END"
#: Medusa: with a transaction's own rate, or where it does not say whether it is taxed, the card's or the region's.
RATE = (
    "CASE WHEN paid.is_taxable IS NULL THEN coalesce(card.tax_rate, region.tax_rate, 0) "
    "ELSE coalesce(paid.tax_rate, 0) END"
)
#: Keeps a query apart: merged into the one around it, its totals would be computed anew wherever that uses them.
APART = f"LIMIT {2**62}"


def smaller(left: str, right: str) -> str:
    """The smaller of two numbers, in SQL."""
    return f"CASE WHEN {left} < {right} THEN {left} ELSE {right} END"


class OrderTotals:
    """The queries of one export.

    Args:
        database: of the shop.
        everything: whether all orders there are are exported; otherwise those of a query ``chosen``, by ``id``.
    """

    def __init__(self, database: Database, everything: bool) -> None:
        self._database = database
        self._everything = everything

    def before(self) -> str:
        """The query ``adjusted`` that ``orders`` reads, for its WITH.

        It has the adjustments of each item that has some, as far as they lower its tax: those by the order's first
        discount and by none.
        """
        first = f"""
            SELECT link.order_id, min(link.discount_id) AS discount_id
            FROM order_discounts AS link {self._of("link.order_id")}
            JOIN discount ON discount.id = link.discount_id
            LEFT JOIN discount_rule AS rule ON rule.id = discount.rule_id
            WHERE rule.type IS NULL OR rule.type <> 'free_shipping' GROUP BY link.order_id"""
        return f"""adjusted AS (
            SELECT adjustment.item_id,
                   sum(CASE WHEN adjustment.discount_id IS NULL
                       OR (item.allow_discounts AND adjustment.discount_id = discounted.discount_id)
                       THEN adjustment.amount END) AS untaxed
            FROM line_item_adjustment AS adjustment JOIN line_item AS item ON item.id = adjustment.item_id
            {self._of("item.order_id")} LEFT JOIN ({first}) AS discounted ON discounted.order_id = item.order_id
            GROUP BY adjustment.item_id)"""

    def orders(self) -> str:
        """The orders with their totals: ``subtotal``, ``shipping_total``, ``discount_total``, ``gift_card_total``,
        ``refunded_total``, ``tax_total`` and ``total``. Medusa: refunds do not lower the total.
        """
        paid = f"coalesce(summed.paid, {smaller('subtotal - discount_total', 'balance')})"
        net = "totalled.subtotal - totalled.discount_total - totalled.gift_card_total + totalled.shipping_total"
        tax = (
            f"CASE WHEN totalled.tax_rate IS NULL THEN {self._rounded('totalled.line_tax')} - "
            f"{self._rounded('totalled.gift_tax')} ELSE {self._rounded(f'({net}) * totalled.tax_rate / 100.0')} END"
        )
        totalled = f"SELECT summed.*, {paid} AS gift_card_total FROM ({self._summed()} {APART}) AS summed"
        taxed = f"SELECT totalled.*, {tax} AS tax_total FROM ({totalled}) AS totalled"
        total = "subtotal + tax_total + shipping_total - discount_total - gift_card_total"
        return f"SELECT taxed.*, {total} AS total FROM ({taxed}) AS taxed"

    def _summed(self) -> str:
        taken = f"CAST({self._rounded('rare.adjustments')} AS bigint)"
        discount = smaller(taken, "coalesce(amounts.discountable, 0)")
        place = "" if self._everything else "chosen.place, "
        entries = '"order" AS entry' if self._everything else 'chosen JOIN "order" AS entry ON entry.id = chosen.id'
        return f"""
            SELECT {place}entry.*, coalesce(amounts.items, 0) AS subtotal,
                   CASE WHEN rare.adjustments IS NULL THEN 0 ELSE {discount} END AS discount_total,
                   CASE WHEN rare.free_shipping > 0 THEN 0 ELSE coalesce(amounts.shipping, 0) END AS shipping_total,
                   coalesce(amounts.refunds, 0) AS refunded_total, rare.paid, coalesce(rare.balance, 0) AS balance,
                   coalesce(rare.paid_tax, rare.balance_tax, 0) AS gift_tax,
                   coalesce(amounts.item_tax, 0) + coalesce(amounts.shipping_tax, 0) AS line_tax
            FROM {entries}
            LEFT JOIN ({_added_up(AMOUNTS, self._amounts())}) AS amounts ON amounts.order_id = entry.id
            LEFT JOIN ({_added_up(RARE, self._rare())}) AS rare ON rare.order_id = entry.id"""

    def _amounts(self) -> dict[str, Mapping[str, str]]:
        """What every order has: the query from its order's id on, and the cells of its rows by ``AMOUNTS``."""
        tax = self._rounded(f"{TAXED} * line.rate / 100.0")
        return {
            f"item.order_id FROM line_item AS item {self._of('item.order_id')}": {
                "items": PRICE,
                "discountable": f"CASE WHEN item.allow_discounts THEN {PRICE} ELSE 0 END",
            },
            f"item.order_id FROM line_item AS item {self._of('item.order_id')} JOIN line_item_tax_line AS line "
            "ON line.item_id = item.id LEFT JOIN adjusted ON adjusted.item_id = item.id": {"item_tax": tax},
            f"method.order_id FROM shipping_method AS method {self._of('method.order_id')}": {
                "shipping": "method.price"
            },
            f"method.order_id FROM shipping_method AS method {self._of('method.order_id')} "
            "JOIN shipping_method_tax_line AS line ON line.shipping_method_id = method.id": {
                "shipping_tax": "method.price * line.rate / 100.0"
            },
            f"refund.order_id FROM refund {self._of('refund.order_id')}": {"refunds": "refund.amount"},
        }

    def _rare(self) -> dict[str, Mapping[str, str]]:
        """What few orders have, see ``_amounts``; where the region does not tax gift cards they lower no tax."""
        region = 'JOIN "order" AS bought ON bought.id = {} JOIN region ON region.id = bought.region_id'.format
        taxed = "CASE WHEN region.gift_cards_taxable THEN {} ELSE 0 END".format
        return {
            # of the table itself: SQLite takes ``adjusted`` for so small that it would read it anew for every order
            "item.order_id FROM line_item_adjustment AS adjustment "
            f"JOIN line_item AS item ON item.id = adjustment.item_id {self._of('item.order_id')}": {
                "adjustments": "adjustment.amount"
            },
            f"link.order_id FROM order_gift_cards AS link {self._of('link.order_id')} "
            f"JOIN gift_card AS card ON card.id = link.gift_card_id {region('link.order_id')}": {
                "balance": "card.balance",
                "balance_tax": taxed("card.balance * coalesce(card.tax_rate, 0) / 100.0"),
            },
            f"paid.order_id FROM gift_card_transaction AS paid {self._of('paid.order_id')} "
            f"JOIN gift_card AS card ON card.id = paid.gift_card_id {region('paid.order_id')}": {
                "paid": "paid.amount",
                "paid_tax": taxed(self._rounded(f"paid.amount * ({RATE}) / 100.0")),
            },
            f"link.order_id FROM order_discounts AS link {self._of('link.order_id')} "
            "JOIN discount ON discount.id = link.discount_id JOIN discount_rule AS rule ON rule.id = discount.rule_id "
            "WHERE rule.type = 'free_shipping'": {"free_shipping": "1"},
        }

    def _of(self, order_id: str) -> str:
        """The join that keeps to the chosen orders, where they are not all."""
        return "" if self._everything else f"JOIN chosen ON chosen.id = {order_id}"

    def _rounded(self, number: str) -> str:
        return self._database.floor(f"({number} + 0.5)")


def _added_up(sums: Mapping[str, str], kinds: Mapping[str, Mapping[str, str]]) -> str:
    """One row an order with the sums over its rows of all kinds."""
    parts = []
    for rows, cells in kinds.items():
        order_id, _, source = rows.partition(" ")
        columns = [f"{cells.get(name, f'CAST(NULL AS {type})')} AS {name}" for name, type in sums.items()]
        parts.append(f"SELECT {order_id} AS order_id, {', '.join(columns)} {source}")
    added = ", ".join(f"sum({name}) AS {name}" for name in sums)
    return f"SELECT order_id, {added} FROM ({' UNION ALL '.join(parts)}) AS parts GROUP BY order_id"
