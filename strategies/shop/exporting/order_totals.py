"""The totals of orders in SQL, in minor units, as Medusa v1 computes them for its export.

Medusa: halves are rounded up, towards plus infinity. Returned quantities are not taken off, and items of swaps and
claims do not count. The two databases read all of it alike.
"""

import re


def rounded(number: str) -> str:
    """A number rounded, halves up, in SQL without functions that SQLite may lack."""
    moved = f"({number} + 0.5)"
    whole = f"CAST({moved} AS bigint)"
    # the cast cuts in SQLite and rounds in PostgreSQL; where that is up, it is one too many
    return f"({whole} - CASE WHEN {whole} > {moved} THEN 1 ELSE 0 END)"


def smaller(left: str, right: str) -> str:
    """The smaller of two numbers, in SQL."""
    return f"CASE WHEN {left} < {right} THEN {left} ELSE {right} END"


#: Of an order's discounts: whether one frees of shipping, and the first one that is of another kind.
DISCOUNTED = """
    SELECT link.order_id, max(CASE WHEN rule.type = 'free_shipping' THEN 1 ELSE 0 END) AS frees_shipping,
           min(CASE WHEN rule.type = 'free_shipping' THEN NULL ELSE link.discount_id END) AS discount_id
    FROM order_discounts AS link JOIN chosen ON chosen.id = link.order_id
    JOIN discount ON discount.id = link.discount_id LEFT JOIN discount_rule AS rule ON rule.id = discount.rule_id
    GROUP BY link.order_id"""

_ITEM_TAX = rounded("taxed.base * taxed.rate / 100.0")
#: Medusa: with a transaction's own rate, or where it does not say whether it is taxed, the card's or the region's.
_RATE = (
    "CASE WHEN paid.is_taxable IS NULL THEN coalesce(card.tax_rate, region.tax_rate, 0) "
    "ELSE coalesce(paid.tax_rate, 0) END"
)
_TRANSACTION_TAX = rounded(f"paid.amount * ({_RATE}) / 100.0")

#: Sums over what belongs to an order, by name; each with one row an order.
SUMS = {
    "items": """
        SELECT item.order_id, sum(item.unit_price * item.quantity) AS amount,
               sum(CASE WHEN item.allow_discounts THEN item.unit_price * item.quantity ELSE 0 END) AS discountable
        FROM line_item AS item JOIN chosen ON chosen.id = item.order_id GROUP BY item.order_id""",
    "adjustments": """
        SELECT item.order_id, sum(adjustment.amount) AS amount
        FROM line_item_adjustment AS adjustment JOIN line_item AS item ON item.id = adjustment.item_id
        JOIN chosen ON chosen.id = item.order_id GROUP BY item.order_id""",
    "shipping": """
        SELECT method.order_id, sum(method.price) AS amount
        FROM shipping_method AS method JOIN chosen ON chosen.id = method.order_id GROUP BY method.order_id""",
    "refunds": """
        SELECT refund.order_id, sum(refund.amount) AS amount
        FROM refund JOIN chosen ON chosen.id = refund.order_id GROUP BY refund.order_id""",
    "cards": """
        SELECT link.order_id, sum(card.balance) AS amount, sum(card.balance * coalesce(card.tax_rate, 0) / 100.0) AS tax
        FROM order_gift_cards AS link JOIN gift_card AS card ON card.id = link.gift_card_id
        JOIN chosen ON chosen.id = link.order_id GROUP BY link.order_id""",
    "transactions": f"""
        SELECT paid.order_id, sum(paid.amount) AS amount, sum({_TRANSACTION_TAX}) AS tax
        FROM gift_card_transaction AS paid JOIN chosen ON chosen.id = paid.order_id
        JOIN gift_card AS card ON card.id = paid.gift_card_id JOIN "order" AS bought ON bought.id = paid.order_id
        JOIN region ON region.id = bought.region_id GROUP BY paid.order_id""",
    # an item's tax is of its price less the adjustments by the order's first discount and by none
    "item_taxes": f"""
        SELECT taxed.order_id, sum({_ITEM_TAX}) AS amount FROM (
            SELECT item.order_id, line.rate, item.unit_price * item.quantity - coalesce(taken.amount, 0) AS base
            FROM line_item AS item JOIN chosen ON chosen.id = item.order_id
            JOIN line_item_tax_line AS line ON line.item_id = item.id
            LEFT JOIN (
                SELECT adjustment.item_id, sum(adjustment.amount) AS amount
                FROM line_item_adjustment AS adjustment JOIN line_item AS item ON item.id = adjustment.item_id
                JOIN chosen ON chosen.id = item.order_id LEFT JOIN discounted ON discounted.order_id = item.order_id
                WHERE adjustment.discount_id IS NULL
                OR (item.allow_discounts AND adjustment.discount_id = discounted.discount_id)
                GROUP BY adjustment.item_id
            ) AS taken ON taken.item_id = item.id
        ) AS taxed GROUP BY taxed.order_id""",
    "shipping_taxes": """
        SELECT method.order_id, sum(method.price * line.rate / 100.0) AS amount
        FROM shipping_method AS method JOIN chosen ON chosen.id = method.order_id
        JOIN shipping_method_tax_line AS line ON line.shipping_method_id = method.id GROUP BY method.order_id""",
}

#: Keeps a query apart: merged into the one around it, its totals would be computed anew wherever that uses them.
_APART = f"LIMIT {2**62}"
_DISCOUNT = smaller(rounded("coalesce(adjustments.amount, 0)"), "coalesce(items.discountable, 0)")
_ORDERS = f"""
    SELECT chosen.place, entry.*, coalesce(items.amount, 0) AS subtotal, {_DISCOUNT} AS discount_total,
           CASE WHEN discounted.frees_shipping = 1 THEN 0 ELSE coalesce(shipping.amount, 0) END AS shipping_total,
           coalesce(refunds.amount, 0) AS refunded_total, transactions.amount AS paid_by_cards,
           coalesce(cards.amount, 0) AS balance, coalesce(transactions.tax, cards.tax, 0) AS card_tax,
           coalesce(item_taxes.amount, 0) + coalesce(shipping_taxes.amount, 0) AS line_tax
    FROM chosen JOIN "order" AS entry ON entry.id = chosen.id
    LEFT JOIN discounted ON discounted.order_id = entry.id
    {" ".join(f"LEFT JOIN ({query}) AS {name} ON {name}.order_id = entry.id" for name, query in SUMS.items())}"""
_BY_CARDS = smaller("subtotal - discount_total", "balance")
_PAID = f"SELECT summed.*, coalesce(paid_by_cards, {_BY_CARDS}) AS gift_card_total FROM ({_ORDERS} {_APART}) AS summed"
_NET = "paid.subtotal - paid.discount_total - paid.gift_card_total + paid.shipping_total"
_CARD_TAX = f"CASE WHEN region.gift_cards_taxable THEN {rounded('paid.card_tax')} ELSE 0 END"
_TAX = (
    f"CASE WHEN paid.tax_rate IS NULL THEN {rounded('paid.line_tax')} - {_CARD_TAX} "
    f"ELSE {rounded(f'({_NET}) * paid.tax_rate / 100.0')} END"
)
_TAXED = f"SELECT paid.*, {_TAX} AS tax_total FROM ({_PAID} {_APART}) AS paid JOIN region ON region.id = paid.region_id"

#: The orders with ``subtotal``, ``shipping_total``, ``discount_total``, ``gift_card_total``, ``refunded_total``,
#: ``tax_total`` and ``total``; reads from ``chosen`` and ``discounted``. Medusa: refunds do not lower the total.
ORDERS_WITH_TOTALS = (
    "SELECT taxed.*, subtotal + tax_total + shipping_total - discount_total - gift_card_total AS total "
    f"FROM ({_TAXED}) AS taxed {_APART}"
)


def of_all(query: str) -> str:
    """The query for all orders there are: sums need no look at which ones are chosen."""
    return re.sub(r"JOIN chosen ON chosen\.id = \w+\.order_id", "", query)
