"""Prices: what would be rounded is refused, and a region's prices are in its own currency and no other."""

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.product_export import ProductExport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.shop.prices.money import Money, decimals_of

HEAD = "Product Handle;Product Title;Variant Title;Variant SKU;Variant Inventory Quantity"
SHOP = f"{HEAD};Price EUR\nshirt;Shirt;S;SH-S;10;20\nmug;Mug;One;MUG;7;9.5\n"
AMOUNTS = (
    "SELECT v.sku, m.currency_code, m.region_id, m.amount FROM money_amount m "
    "JOIN product_variant_money_amount k ON k.money_amount_id = m.id JOIN product_variant v ON v.id = k.variant_id "
    "ORDER BY v.sku, m.currency_code, m.region_id IS NOT NULL, m.region_id"
)


@pytest.fixture
def priced(shop):
    """A shop with a shirt and a mug, and a further region Nordics that is deleted or not, as tests have it."""
    shop.run(ProductImport(), file_key=shop.put(SHOP))
    shop.rows("INSERT INTO region (id, name, currency_code, tax_rate) VALUES ('reg_old', 'Nordics', 'dkk', 25)")
    return shop


def give(shop, sku, region, currency, amount, name):
    shop.rows(
        f"INSERT INTO money_amount (id, currency_code, amount, region_id) VALUES ('{name}', '{currency}', {amount}, "
        f"'{region}')"
    )
    shop.rows(
        "INSERT INTO product_variant_money_amount (id, money_amount_id, variant_id) "
        f"SELECT 'link_{name}', '{name}', id FROM product_variant WHERE sku = '{sku}'"
    )


def delete_region(shop):
    shop.rows("UPDATE region SET deleted_at = CURRENT_TIMESTAMP WHERE id = 'reg_old'")


def make_again(shop):
    shop.rows("INSERT INTO region (id, name, currency_code, tax_rate) VALUES ('reg_new', 'Nordics', 'eur', 20)")


def comes_back(shop):
    before = shop.rows(AMOUNTS)
    exported = shop.run(ProductExport())
    result = shop.run(ProductImport(), file_key=exported.file_key)
    assert (result.created, result.updated, result.rejected) == (0, 0, 0)
    assert shop.rows(AMOUNTS) == before
    return shop.read(exported.file_key).splitlines()[0]


def test_R2_the_prices_of_a_region_that_was_made_again_in_another_currency_are_not_exported(priced):
    give(priced, "MUG", "reg_old", "dkk", 14900, "ma_1")
    delete_region(priced)
    make_again(priced)
    assert "Nordics" not in comes_back(priced)


def test_R2_a_region_that_changed_its_currency_has_no_price_in_the_old_one(priced):
    give(priced, "MUG", "reg_old", "dkk", 14900, "ma_1")
    priced.rows("UPDATE region SET currency_code = 'eur' WHERE id = 'reg_old'")
    assert "Nordics" not in comes_back(priced)


def test_R2_a_price_in_brackets_of_another_currency_than_the_regions_is_a_reject(priced):
    delete_region(priced)
    make_again(priced)
    content = "Product Handle;Variant SKU;Price EUR;Price Nordics [DKK]\nmug;MUG;9.5;149\nshirt;SH-S;21;\n"
    result = priced.run(ProductImport(), file_key=priced.put(content))
    (reject,) = priced.rejects(result)
    assert (reject["reject_line"], reject["reject_reason"]) == (
        "2", "Price Nordics [DKK]: the region Nordics has prices in EUR, not in DKK",
    )  # fmt: skip
    assert priced.rows(AMOUNTS) == [("MUG", "eur", None, 950), ("SH-S", "eur", None, 2100)]


def test_R2_of_two_regions_of_one_name_the_currency_says_which(priced):
    make_again(priced)
    give(priced, "MUG", "reg_old", "dkk", 14900, "ma_1")
    give(priced, "MUG", "reg_new", "eur", 1900, "ma_2")
    assert "Price Nordics [DKK];Price Nordics [EUR]" in comes_back(priced)


def test_R3_only_the_deleted_region_has_prices(priced):
    give(priced, "MUG", "reg_old", "dkk", 14900, "ma_1")
    delete_region(priced)
    assert "Nordics" not in comes_back(priced)


def test_R3_both_regions_have_prices(priced):
    give(priced, "MUG", "reg_old", "dkk", 14900, "ma_1")
    delete_region(priced)
    make_again(priced)
    give(priced, "SH-S", "reg_new", "eur", 1700, "ma_2")
    assert "Price Nordics [EUR]" in comes_back(priced)


def converted(currency, *cells):
    found = Money(currency).convert(pa.array(cells, pa.string()))
    return found.values.to_pylist(), dict(found.bad)


@pytest.mark.parametrize(
    ("currency", "cell", "amount"),
    [
        ("kwd", "1.234", 1234), ("kwd", "1.2340", 1234), ("kwd", "2147483.647", 2147483647), ("jpy", "1000", 1000),
        ("jpy", "1000.0", 1000), ("eur", "19.99", 1999), ("eur", "19.990", 1999), ("eur", "1e3", 100000),
        ("eur", "21474836.47", 2147483647), ("eur", "0", 0), ("eur", "-0.00", 0), ("eur", "+5", 500),
    ],
)  # fmt: skip
def test_R17_currencies_have_their_own_decimals(currency, cell, amount):
    assert converted(currency, cell, None) == ([amount, None], {})


@pytest.mark.parametrize(
    ("currency", "cell", "reason"),
    [
        ("kwd", "0.0004", "'0.0004' would be rounded; KWD has 3 decimals"),
        ("jpy", "0.4", "'0.4' would be rounded; JPY has no decimals"),
        ("jpy", "1000.5", "'1000.5' would be rounded; JPY has no decimals"),
        ("eur", "19.999", "'19.999' would be rounded; EUR has 2 decimals"),
        ("eur", "19." + "0" * 40 + "1", None),
        ("eur", "-5", "'-5' is negative; a price is not"),
        ("eur", "-0.001", "'-0.001' is negative; a price is not"),
        ("eur", "21474836.48", "'21474836.48' is more than the database can hold"),
        ("eur", "15,50", "'15,50' is not a price; write decimals after a point"),
    ],
)
def test_R17_what_would_be_rounded_or_is_negative_is_refused(currency, cell, reason):
    values, bad = converted(currency, cell, "7")
    assert values[1] is not None
    assert values[0] is None
    assert reason is None or bad == {0: reason}
    assert list(bad) == [0]


@given(st.sampled_from(["jpy", "eur", "kwd"]), st.integers(0, 2**31 - 1))
def test_R17_every_amount_comes_back_from_its_price(currency, amount):
    price = format(Decimal(amount).scaleb(-decimals_of(currency)), "f")
    assert converted(currency, price) == ([amount], {})


def test_R17_a_product_with_such_a_price_is_a_reject_and_comes_back_exactly_otherwise(shop):
    content = f"{HEAD};Price KWD;Price JPY;Price EUR\na;A;V;A;1;1.234;1000;19.99\nb;B;V;B;1;0.004;0.4;-5\n"
    result = shop.run(ProductImport(), file_key=shop.put(content))
    assert [row["reject_line"] for row in shop.rejects(result)] == ["3"]
    assert shop.rows(AMOUNTS) == [("A", "eur", None, 1999), ("A", "jpy", None, 1000), ("A", "kwd", None, 1234)]
    (row,) = shop.table(shop.run(ProductExport()))
    assert (row["Price KWD"], row["Price JPY"], row["Price EUR"]) == ("1.234", "1000", "19.99")
    comes_back(shop)
