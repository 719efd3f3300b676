"""The file that a real Medusa exported, from the same tables; and totals that its orders do not show."""

import csv
import json

import pytest

from batch_jobs.strategies.order_export import OrderExport
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.tables.values.formulas import restore_cell
from support.shop import GOLDEN

ORDER = "order_01M85R5Z923Q2QDVRAKFQXXMBQ"  # the first: 5643 + 25 % tax, shipping 500 + 25 % tax, no discount


@pytest.fixture
def orders(orders_shop):
    return orders_shop


def equals_medusas(orders, result, export, job):
    with (GOLDEN / export).open(newline="") as file:
        medusa = list(csv.DictReader(file, delimiter=";", quoting=csv.QUOTE_NONE))
    ours = [{name: restore_cell(cell) for name, cell in row.items()} for row in orders.table(result)]
    assert list(ours[0]) == list(medusa[0])
    assert ours == medusa
    said = json.loads((GOLDEN / job).read_text())["result"]
    assert (result.count, result.advancement_count, result.progress) == (said["count"], said["advancement_count"], 1.0)
    assert [entry.model_dump() for entry in result.stat_descriptors] == said["stat_descriptors"]


def test_the_golden_orders_are_exported_as_medusa_exports_them(orders):
    equals_medusas(orders, orders.run(OrderExport()), "orders_100.export.csv", "batch_job_order_export.json")


def test_gift_cards_own_tax_rates_discounts_and_returns_are_exported_as_medusa_exports_them(more_orders_shop):
    result = more_orders_shop.run(OrderExport())
    equals_medusas(more_orders_shop, result, "orders_more.export.csv", "batch_job_orders_more.json")


@pytest.mark.parametrize("asked", ["as Medusa keeps it", "as it is asked for"])
def test_fields_expand_order_and_filters_choose_what_they_choose_in_medusa(more_orders_shop, asked):
    context = json.loads((GOLDEN / "batch_job_orders_more_fields.json").read_text())["context"]
    if asked == "as it is asked for":
        config = context.pop("list_config")
        context |= {"fields": config["select"], "expand": config["relations"], "order": "display_id"}
    result = more_orders_shop.run(OrderExport(), **context)
    equals_medusas(more_orders_shop, result, "orders_more_fields.export.csv", "batch_job_orders_more_fields.json")


def totals(orders):
    (row,) = orders.table(orders.run(OrderExport(), filterable_fields={"id": ORDER}))
    names = ("Subtotal", "Shipping Total", "Discount Total", "Gift Card Total", "Refunded Total", "Tax Total", "Total")
    return tuple(int(row[name]) for name in names)


def without_foreign_keys(orders, *statements):
    with orders.target.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET session_replication_role = replica")
        else:
            connection.connection.driver_connection.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.commit()
        connection.invalidate()


def test_the_totals_of_the_first_order(orders):
    assert totals(orders) == (5643, 500, 0, 0, 0, 1411 + 125, 5643 + 500 + 1536)


def test_the_rate_of_an_old_order_is_of_everything(orders):
    orders.rows(f"UPDATE \"order\" SET tax_rate = 10 WHERE id = '{ORDER}'")
    assert totals(orders) == (5643, 500, 0, 0, 0, 614, 5643 + 500 + 614)


def test_a_discount_is_no_more_than_what_may_be_discounted_and_lowers_the_tax_by_the_first_one(orders):
    without_foreign_keys(
        orders,
        f"UPDATE line_item SET allow_discounts = true WHERE order_id = '{ORDER}'",
        "INSERT INTO line_item_adjustment (id, item_id, description, discount_id, amount) "
        f"SELECT 'lia_1', id, 'd', 'disc_1', 1000.5 FROM line_item WHERE order_id = '{ORDER}'",
        "INSERT INTO line_item_adjustment (id, item_id, description, discount_id, amount) "
        f"SELECT 'lia_2', id, 'd', 'disc_2', 9000 FROM line_item WHERE order_id = '{ORDER}'",
        "INSERT INTO discount (id, code, is_dynamic, is_disabled) VALUES ('disc_1', 'A', false, false)",
        f"INSERT INTO order_discounts VALUES ('{ORDER}', 'disc_1')",
    )
    tax = 1161 + 125  # 25 % of 5643 - 1000.5 is 1160.625
    assert totals(orders) == (5643, 500, 5643, 0, 0, tax, 500 + tax)


def test_free_shipping_costs_nothing_and_is_taxed_all_the_same(orders):
    without_foreign_keys(
        orders,
        "INSERT INTO discount_rule (id, type, value) VALUES ('dru_1', 'free_shipping', 0)",
        "INSERT INTO discount (id, code, is_dynamic, is_disabled, rule_id) "
        "VALUES ('disc_1', 'A', false, false, 'dru_1')",
        f"INSERT INTO order_discounts VALUES ('{ORDER}', 'disc_1')",
    )
    assert totals(orders) == (5643, 0, 0, 0, 0, 1411 + 125, 5643 + 1536)


def test_gift_cards_pay_with_their_transactions_or_else_their_balance(orders):
    without_foreign_keys(
        orders,
        "INSERT INTO gift_card (id, code, value, balance, region_id, tax_rate) "
        f"SELECT 'gift_1', 'G', 9000, 9000, region_id, NULL FROM \"order\" WHERE id = '{ORDER}'",
        f"INSERT INTO order_gift_cards VALUES ('{ORDER}', 'gift_1')",
    )
    assert totals(orders) == (5643, 500, 0, 5643, 0, 1536, 500 + 1536)
    without_foreign_keys(
        orders,
        "INSERT INTO gift_card_transaction (id, gift_card_id, order_id, amount) "
        f"VALUES ('gct_1', 'gift_1', '{ORDER}', 1002)",
    )
    # nobody said whether it is taxed: then the region's 25 %, of 1002, halves up
    assert totals(orders) == (5643, 500, 0, 1002, 0, 1536 - 251, 5643 + 500 + 1536 - 251 - 1002)


def test_fields_and_expand_choose_the_columns(orders):
    rows = orders.table(orders.run(OrderExport(), fields=["total", "region_id"], expand=["customer"], batch_size=2))
    assert len(rows) == 2
    assert list(rows[0]) == [
        "Order_ID", "Date", "Customer First name", "Customer Last name", "Customer Email", "Customer ID",
        "Shipping Region ID", "Total",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        ({"payment_status": ["captured"]}, "payment_status = 'captured'"),
        ({"display_id": 7}, "display_id = 7"),
        ({"currency_code": "usd", "status": ["pending", "canceled"]}, "currency_code = 'usd'"),
        ({"q": "c3@example.com"}, "email = 'c3@example.com'"),
        ({"created_at": {"lt": "2026-11-24T03:04:24Z"}}, "created_at < '2026-11-24 03:04:24'"),
    ],
)
def test_filters_choose_orders(orders, filters, condition):
    if orders.target.dialect.name == "postgresql":
        condition = condition.replace("03:04:24'", "03:04:24+00'")
    expected = orders.rows(f'SELECT id FROM "order" WHERE {condition} ORDER BY created_at DESC, id')
    found = orders.table(orders.run(OrderExport(), filterable_fields=filters))
    assert [(row["Order_ID"],) for row in found] == expected
    assert expected


def test_cells_that_would_break_a_row_or_run_as_a_formula_do_not(orders):
    orders.rows("UPDATE address SET address_1 = '=1+1;\"x\"\n' WHERE id = 'addr_01M85R5Z3FMYAC72AHNJJK9T06'")
    row = next(row for row in orders.table(orders.run(OrderExport())) if row["Order_ID"] == ORDER)
    assert row["Shipping Address 1"] == '\'=1+1;"x"\n'


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"filterable_fields": {"display_id": "#1001"}}, 'needs a whole number for display_id, not "#1001"'),
        ({"filterable_fields": {"display_id": [1, 1.5]}}, "needs a whole number for display_id, not 1.5"),
        ({"filterable_fields": {"display_id": True}}, "needs a whole number for display_id, not true"),
        ({"filterable_fields": {"tax_rate": "25 %"}}, 'needs a number for tax_rate, not "25 %"'),
        ({"filterable_fields": {"payment_status": ["paid"]}}, 'no payment_status "paid"; there are: not_paid'),
        ({"fields": ["totl"]}, "fields has no totl; there are: id, "),
        ({"expand": ["shipping_adress"]}, "expand has no shipping_adress; there are: customer"),
    ],
)
def test_R14_what_cannot_be_meant_is_refused_at_create(context, message):
    with pytest.raises(ContextRefused, match=message):
        OrderExport().prepare(OrderExport.Context(**context))


@pytest.mark.parametrize("display_id", [7, "7", [7], 10**17])
def test_R14_a_number_may_be_a_text_of_digits(orders, display_id):
    found = orders.table(orders.run(OrderExport(), filterable_fields={"display_id": display_id}))
    assert [row["Display_ID"] for row in found] == ([] if display_id == 10**17 else ["7"])


def test_R14_a_field_of_orders_that_the_file_has_no_column_for_is_reported(orders):
    job = orders.preview(OrderExport(), fields="email,total", expand="items,customer")
    assert job.plan["without_column"] == ["email", "items"]


def test_the_template_is_medusas_header():
    header = (GOLDEN / "orders_100.export.csv").read_text().splitlines()[0]
    assert OrderExport().build_template() == f"{header}\n"
