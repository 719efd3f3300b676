"""Exports of a shop in parts make the file of the uncut one, with the columns that all entries need together."""

import gzip
import itertools

import pytest

from batch_jobs.strategies.order_export import OrderExport
from batch_jobs.strategies.product_export import ProductExport
from batch_jobs.strategies.shop.medusa.schema import create_shop

PRODUCTS = (
    "INSERT INTO currency (code, symbol, symbol_native, name) VALUES ('eur', 'E', 'E', 'Euro'), ('usd', '$', '$', 'D') "
    "ON CONFLICT DO NOTHING",
    "INSERT INTO shipping_profile (id, name, type) VALUES ('sp_1', 'Default', 'default') ON CONFLICT DO NOTHING",
    "INSERT INTO product (id, title, handle, status, created_at) SELECT 'prod_' || n, 'Product ' || n, 'p-' || n, "
    "'published', timestamptz '2026-01-01' + n / 7 * interval '1 s' FROM generate_series(1, 90) n",
    "INSERT INTO product_variant (id, title, product_id, inventory_quantity, variant_rank) "
    "SELECT 'var_' || n || '_' || k, 'V' || k, 'prod_' || n, n, k "
    "FROM generate_series(1, 90) n, generate_series(1, 1 + n % 3) k",
    # only the last product has three options, only the first four images, and few a price in dollars
    "INSERT INTO product_option (id, title, product_id) SELECT 'opt_' || n || '_' || k, 'O' || k, 'prod_' || n "
    "FROM generate_series(1, 90) n, generate_series(1, CASE n WHEN 90 THEN 3 ELSE 1 END) k",
    "INSERT INTO product_option_value (id, value, option_id, variant_id) SELECT 'ov_' || v.id || o.id, 'x' || v.title, "
    "o.id, v.id FROM product_variant v JOIN product_option o ON o.product_id = v.product_id",
    "INSERT INTO image (id, url) SELECT 'img_' || k, 'https://images.example/' || k FROM generate_series(1, 4) k",
    "INSERT INTO product_images SELECT 'prod_' || n, 'img_' || k FROM generate_series(1, 90) n, "
    "generate_series(1, CASE n WHEN 1 THEN 4 ELSE n % 2 END) k",
    "INSERT INTO money_amount (id, currency_code, amount) SELECT 'ma_' || id, 'eur', 1000 + inventory_quantity "
    "FROM product_variant",
    "INSERT INTO money_amount (id, currency_code, amount) SELECT 'mb_' || id, 'usd', 5 FROM product_variant "
    "WHERE inventory_quantity = 45",
    "INSERT INTO product_variant_money_amount (id, variant_id, money_amount_id) "
    "SELECT 'l' || id, substr(id, 4), id FROM money_amount",
)


class ProductsInSmallParts(ProductExport):
    rows_a_part = 20


class OrdersInSmallParts(OrderExport):
    rows_a_part = 20


@pytest.fixture
def products(exports):
    create_shop(exports.target)
    exports.sql(*PRODUCTS)
    return exports


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"order": "title"},
        {"order": "-handle", "offset": 3, "batch_size": 80},
        {"filterable_fields": {"status": "published", "q": "Product"}, "compression": "gz"},
        {"format": "jsonl"},
    ],
)
def test_products_in_parts_are_those_of_the_uncut_file(products, context):
    whole = products.whole(ProductsInSmallParts, **context)
    if not context:
        header, *rows = whole.decode().splitlines()
        assert all(name in header for name in ("Option 3 Value", "Image 4 Url", "Price EUR", "Price USD"))
        assert len(rows) == 180
    unpacked = gzip.decompress if "compression" in context else bytes
    assert unpacked(products.parts(ProductsInSmallParts, **context)) == unpacked(whole)


def test_a_product_that_comes_meanwhile_adds_no_row_and_no_column(products):
    before = products.whole(ProductsInSmallParts)
    numbers = itertools.count(100)

    def write():
        number = next(numbers)
        products.sql(
            f"INSERT INTO product (id, title, handle) VALUES ('prod_{number}', 'New', 'p-{number}')",
            f"INSERT INTO product_option (id, title, product_id) "
            f"SELECT 'new_{number}_' || k, 'O' || k, 'prod_{number}' FROM generate_series(1, 9) k",
            f"DELETE FROM product_images WHERE product_id = 'prod_{number - 99}'",
            f"UPDATE product SET deleted_at = now() WHERE id = 'prod_{number - 90}'",
        )

    assert products.parts(ProductsInSmallParts, write) == before
    assert products.whole(ProductsInSmallParts) != before


ORDERS = (
    "INSERT INTO country (id, iso_2, iso_3, num_code, name, display_name) "
    "SELECT 1, 'de', 'deu', 276, 'DE', 'Germany' WHERE NOT EXISTS (SELECT FROM country WHERE iso_2 = 'de')",
    "INSERT INTO region (id, name, currency_code, tax_rate) VALUES ('reg_1', 'EU', 'eur', 19)",
    "INSERT INTO customer (id, email, first_name) SELECT 'cus_' || n, n || '@example.com', '=' || n "
    "FROM generate_series(1, 9) n",
    'INSERT INTO "order" (id, customer_id, email, region_id, currency_code, created_at, tax_rate) '
    "SELECT 'order_' || n, 'cus_' || 1 + n % 9, 'x@example.com', 'reg_1', 'eur', "
    "timestamptz '2026-01-01' + n / 9 * interval '1 min', CASE WHEN n % 8 = 0 THEN 7 END "
    "FROM generate_series(1, 100) n",
    "INSERT INTO line_item (id, order_id, title, unit_price, quantity) SELECT 'item_' || n || '_' || k, 'order_' || n, "
    "'Item', 100 + n, k FROM generate_series(1, 100) n, generate_series(1, 2) k",
    "INSERT INTO line_item_tax_line (id, rate, name, code, item_id) "
    "SELECT 'tax_' || id, 19, 'd', 'd', id FROM line_item",
    "INSERT INTO line_item_adjustment (id, item_id, description, amount) "
    "SELECT 'adj_' || n, 'item_' || n || '_1', 'd', 10.5 FROM generate_series(3, 100, 3) n",
    "INSERT INTO refund (id, order_id, amount, reason) SELECT 'ref_' || n, 'order_' || n, 50, 'other' "
    "FROM generate_series(5, 100, 5) n",
)


@pytest.mark.parametrize(
    "context", [{}, {"order": "email"}, {"filterable_fields": {"email": "x@example.com"}, "offset": 7}]
)
def test_orders_in_parts_are_those_of_the_uncut_file_whatever_others_write(exports, context):
    create_shop(exports.target)
    exports.sql("INSERT INTO currency VALUES ('eur', 'E', 'E', 'Euro') ON CONFLICT DO NOTHING", *ORDERS)
    before = exports.whole(OrdersInSmallParts, **context)
    numbers = itertools.count(1)

    def write():
        number = next(numbers)
        exports.sql(
            f"UPDATE line_item SET unit_price = 1 WHERE order_id = 'order_{number}'",
            "INSERT INTO refund (id, order_id, amount, reason) "
            f"VALUES ('r{number}', 'order_{100 - number}', 1, 'other')",
            f"UPDATE \"order\" SET created_at = now() WHERE id = 'order_{number + 40}'",
        )

    assert exports.parts(OrdersInSmallParts, write, **context) == before
    assert exports.whole(OrdersInSmallParts, **context) != before


def test_few_entries_are_not_cut(products):
    assert products.not_cut(ProductExport) == "one: a part has at least 50,000 rows"
