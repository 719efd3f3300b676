"""Product files of other shops go in as they are; what they have and Medusa does not is named in the plan."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.errors import ContextRefused, InputRefused
from batch_jobs.strategies.shop.layouts.layout import with_point
from support.workbooks import workbook

FILES = Path(__file__).parent / "layouts"
PRODUCTS = "SELECT handle, title, subtitle, description, status, thumbnail, external_id FROM product ORDER BY handle"
VARIANTS = (
    "SELECT v.title, v.sku, v.barcode, v.inventory_quantity, v.allow_backorder, v.manage_inventory, v.weight "
    "FROM product_variant v JOIN product p ON p.id = v.product_id ORDER BY p.handle, v.variant_rank"
)
PRICES = (
    "SELECT v.title, m.currency_code, m.amount FROM money_amount m JOIN product_variant_money_amount k "
    "ON k.money_amount_id = m.id JOIN product_variant v ON v.id = k.variant_id ORDER BY v.sku, v.title"
)
IMAGES = (
    "SELECT p.handle, i.url FROM product_images k JOIN product p ON p.id = k.product_id "
    "JOIN image i ON i.id = k.image_id"
)


def load(shop, name, content=None, **context):
    key = shop.put(content if content is not None else FILES / f"{name}.csv")
    return shop.run(ProductImport(), file_key=key, **{"layout": name, "currency": "EUR", **context})


def booleans(rows):
    """SQLite has numbers where PostgreSQL has booleans."""
    return [tuple(bool(cell) if place in (4, 5) else cell for place, cell in enumerate(row)) for row in rows]


def test_shopifys_export_goes_in_as_it_is(shop):
    result = load(shop, "shopify")

    assert (result.created, result.rejected) == (2 + 3, 0)
    description = "<p>Warm, soft</p>\n<ul><li>one; two</li></ul>"
    assert shop.rows(PRODUCTS) == [
        ("mug", "Mug", None, None, "draft", None, None),
        ("wool-hat", "Wool Hat", None, description, "published", "https://cdn/a.jpg", None),
    ]
    assert booleans(shop.rows(VARIANTS)) == [
        ("Default Title", None, None, 0, False, False, 300),
        ("S / Red", "HAT-S-R", "0012345", 4, False, True, 120),
        ("M / Red", "HAT-M-R", None, 0, True, True, 120),
    ]
    picture = shop.picture()
    assert sorted((row[3], row[4]) for row in picture["option value"].elements()) == [
        ("Colour", "Red"), ("Colour", "Red"), ("Size", "M"), ("Size", "S"), ("Title", "Default Title"),
    ]  # fmt: skip
    assert sorted(picture["tag"]) == [("wool-hat", "winter"), ("wool-hat", "wool")]
    assert sorted(shop.rows(IMAGES)) == [("wool-hat", f"https://cdn/{name}.jpg") for name in "abc"]
    assert sorted(amount for _, _, amount in shop.rows(PRICES)) == [900, 1990, 1990]


def said(result):
    return next(entry.message for entry in result.stat_descriptors if entry.key == "import-file")


def test_the_plan_says_what_of_shopify_was_left_out(shop):
    message = said(load(shop, "shopify"))
    assert "layout 'shopify'" in message
    assert "Vendor, Variant Fulfillment Service" in message
    assert "prices before a reduction, which are left out: 1" in message
    assert "variants without a stock, which get 0: 1" in message


def test_shopifys_export_again_changes_nothing(shop):
    load(shop, "shopify")
    result = load(shop, "shopify")
    assert (result.created, result.updated, result.unchanged, result.rejected) == (0, 0, 5, 0)


def test_a_refused_row_of_shopify_is_reported_as_it_was_and_its_rejects_file_loads(shop):
    content = (FILES / "shopify.csv").read_text().replace("manual,19.90,25.00", "manual,19.999,25.00")
    result = load(shop, "shopify", content)
    rejects = shop.rejects(result)
    assert [(row["reject_line"], row["Handle"], row["Variant SKU"]) for row in rejects] == [
        ("2", "wool-hat", "HAT-S-R"), ("4", "wool-hat", "HAT-M-R"),
    ]  # fmt: skip
    assert rejects[0]["reject_reason"].endswith("'19.999' would be rounded; EUR has 2 decimals")
    assert rejects[0]["Variant Price"] == "19.999"
    assert not [name for name in rejects[0] if " → " in name]
    assert rejects[1]["reject_reason"] == "another row of this product is refused"

    corrected = shop.read(result.rejects_file_key).replace("19.999", "19.90")
    assert load(shop, "shopify", corrected).created == 3
    assert sorted(shop.rows(IMAGES)) == [("wool-hat", f"https://cdn/{name}.jpg") for name in "abc"]


def test_shopifys_newer_headers_are_known_too(shop):
    content = (
        "Title,URL handle,Description,Published on online store,Status,SKU,Option1 name,Option1 value,Price,"
        "Inventory tracker,Inventory quantity,Continue selling when out of stock,Weight value (grams),"
        "Product image URL\n"
        "Cup,cup,Round,TRUE,Active,CUP-S,Size,S,5.00,shopify,3,CONTINUE,99.6,https://cdn/1.jpg\n"
        ",cup,,,,CUP-L,,L,6.00,shopify,,DENY,100,\n"
    )
    result = load(shop, "shopify", content)
    assert (result.created, result.rejected) == (3, 0)
    assert booleans(shop.rows(VARIANTS)) == [
        ("S", "CUP-S", None, 3, True, True, 100),
        ("L", "CUP-L", None, 0, False, True, 100),
    ]
    assert "weights that are rounded to whole grams: 1" in said(result)


def test_woocommerces_export_goes_in_as_it_is(shop):
    result = load(shop, "woocommerce")

    assert (result.created, result.rejected) == (2 + 3, 0)
    assert shop.rows(PRODUCTS) == [
        ("cap", "Cap", None, None, "draft", None, "13"),
        ("tee", "Tee", "Short", "Long\nline", "published", "https://w/1.jpg", "10"),
    ]
    assert booleans(shop.rows(VARIANTS)) == [
        ("Default", "CAP", None, 0, False, False, None),
        ("S", "TEE-S", None, 5, False, True, 300),
        ("M", "TEE-M", None, 0, True, True, 300),
    ]
    assert [(title, amount) for title, _, amount in shop.rows(PRICES)] == [("Default", 900), ("M", 1990), ("S", 1990)]
    assert sorted(shop.rows(IMAGES)) == [("tee", f"https://w/{name}.jpg") for name in "12s"]
    assert sorted(shop.picture()["tag"]) == [("tee", "new"), ("tee", "tee")]
    assert sorted(row[4] for row in shop.picture()["option value"]) == ["M", "S"]
    assert "sale prices, which are left out: 1" in said(result)


def test_woocommerces_export_again_changes_nothing(shop):
    load(shop, "woocommerce")
    result = load(shop, "woocommerce")
    assert (result.created, result.updated, result.unchanged, result.rejected) == (0, 0, 5, 0)


def test_what_woocommerce_has_and_medusa_has_not_is_a_reject_with_its_line(shop):
    content = (
        "ID,Type,SKU,Name,Published,Regular price,Parent,Stock\n"
        '1,variation,A-S,A - S,1,"1.234,50",NOPE,1\n'
        "2,grouped,,Set,1,,,\n"
        "3,variable,B,B,1,,,\n"
        '4,simple,C,Same,1,"1,234,567",,1\n'
        '5,simple,D,Same,1,"1.234,50",,1\n'
        "6,simple,E,Same,1,7.00,,1\n"
    )
    result = load(shop, "woocommerce", content)
    assert [(row["reject_line"], row["reject_reason"]) for row in shop.rejects(result)] == [
        ("2", "its parent NOPE is not in this file; load the whole export again"),
        ("3", "a grouped product has no counterpart in Medusa"),
        ("4", "the file has no variations of this product, so there is nothing to sell"),
        ("5", "Regular price → Price EUR: '1,234,567' is not a price; write decimals after a point"),
    ]
    # products of one name are not one product
    assert shop.rows("SELECT handle FROM product ORDER BY handle") == [("same-5",), ("same-6",)]
    assert [amount for _, _, amount in shop.rows(PRICES)] == [123450, 700]


def test_columns_of_another_shop_can_be_given_a_place(shop):
    load(shop, "shopify", columns={"Vendor": {"to": "Product Material", "fill_down": "Handle"}, "Type": "Product Type"})
    assert shop.rows("SELECT handle, material FROM product ORDER BY handle") == [("mug", "Acme"), ("wool-hat", "Acme")]


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"layout": "shopify"}, "layout shopify needs a currency, such as eur"),
        ({"layout": "medusa", "currency": "eur"}, "currency is for the layouts of other shops"),
    ],
)
def test_a_layout_and_a_currency_go_together(context, message):
    with pytest.raises(ContextRefused, match=message):
        ProductImport().prepare(ProductImport.Context(file_key="x", **context))


def test_a_file_that_is_not_in_the_layout_is_refused(shop):
    with pytest.raises(InputRefused, match="a file of woocommerce has a column Type"):
        load(shop, "woocommerce", "Name,SKU\nx,y\n")


@pytest.mark.parametrize("name", ["shopify", "woocommerce"])
def test_a_file_of_another_shop_that_is_said_to_be_medusas_is_refused(shop, name):
    with pytest.raises(InputRefused, match=f"it looks like a product file of {name}; set layout to {name}"):
        shop.run(ProductImport(), file_key=shop.put(FILES / f"{name}.csv"), layout="medusa")


@pytest.mark.parametrize("name", ["shopify", "woocommerce"])
def test_a_file_of_another_shop_is_read_as_such_by_its_header_and_the_plan_says_so(shop, name):
    result = load(shop, name, layout=None)

    assert (result.created, result.rejected) == (2 + 3, 0)
    assert f"layout '{name}', layout_is 'found by the header'" in said(result)
    again = load(shop, name)
    assert (again.unchanged, again.created) == (5, 0)
    assert "layout_is" not in said(again)


def test_so_is_one_of_which_columns_are_given_a_place(shop):
    load(shop, "shopify", layout=None, columns={"Vendor": {"to": "Product Material", "fill_down": "Handle"}})
    assert shop.rows("SELECT handle, material FROM product ORDER BY handle") == [("mug", "Acme"), ("wool-hat", "Acme")]


def test_one_whose_columns_are_all_given_as_medusas_is_medusas(shop):
    content = "Title,Vendor,Handle,Option1 Name,Option1 Value,Qty\nMug,Acme,mug,Colour,Blue,3\n"
    columns = {
        "Title": ["Product Title", "Variant Title"], "Vendor": None, "Handle": "Product Handle",
        "Option1 Name": "Option 1 Name", "Option1 Value": "Option 1 Value",
        "Qty": "Variant Inventory Quantity",
    }  # fmt: skip
    result = shop.run(ProductImport(), file_key=shop.put(content), columns=columns)
    assert (result.created, result.rejected) == (1 + 1, 0)
    assert "layout" not in said(result)


def test_prices_of_another_shop_are_in_no_currency_by_themselves(shop):
    with pytest.raises(InputRefused, match=r"by its header it is a product file of shopify.*; set currency, such as"):
        load(shop, "shopify", layout=None, currency=None)


def test_a_currency_is_not_for_a_file_of_medusas(shop):
    with pytest.raises(InputRefused, match=r"currency is for the layouts of other shops.*; leave currency out"):
        shop.run(ProductImport(), file_key=shop.put(ProductImport().build_template()), currency="eur")


def test_shopifys_file_of_stocks_is_no_product_file(shop):
    content = "Handle,Title,Option1 Name,Option1 Value,SKU,Location,On hand\nmug,Mug,Size,S,MUG,Home,3\n"
    with pytest.raises(InputRefused, match="a product file has no column Handle"):
        shop.run(ProductImport(), file_key=shop.put(content))


def test_a_cell_of_another_shops_workbook_that_has_no_value_is_a_reject_not_an_empty_one(shop):
    with (FILES / "shopify.csv").open(newline="") as file:
        names, *found = csv.reader(file)
    priced = next(row for row in found if row[names.index("Variant Price")])
    priced[names.index("Variant Price")] = "=1+1"
    key = shop.put(workbook(names, *found), "products.xlsx")

    result = shop.run(ProductImport(), file_key=key, layout="shopify", currency="EUR")

    assert any(
        row["reject_reason"].startswith("Variant Price: has a formula that was never computed")
        for row in shop.rejects(result)
    )


@given(st.integers(0, 10**7), st.integers(0, 99), st.sampled_from(["{},{:02}", "{:,}.{:02}", "{}.{:02}"]))
def test_a_decimal_mark_is_understood_where_only_one_reading_is_possible(units, cents, written):
    assert with_point(written.format(units, cents)) == f"{units}.{cents:02}"
    swapped = written.format(units, cents).translate(str.maketrans(",.", ".,"))
    if "," in swapped:
        assert with_point(swapped) == f"{units}.{cents:02}"


def test_from_one_medusa_to_another_the_messages_say_what_is_to_be_done(shop):
    content = (
        "Product Id;Product Handle;Product Title;Product Collection Handle;Variant Id;Variant Title;Variant SKU;"
        "Variant Inventory Quantity\n"
        "prod_other;mug;Mug;;;One;MUG;1\n;cup;Cup;nowhere;;One;CUP;1\n;jug;Jug;;variant_other;One;JUG;1\n"
    )
    result = shop.run(ProductImport(), file_key=shop.put(content))
    assert [row["reject_reason"] for row in shop.rejects(result)] == [
        "Product Id: there is no product with the id prod_other; leave out ids of another shop",
        "Product Collection Handle: there is no collection with the handle nowhere; make it first",
        "Variant Id: there is no variant with the id variant_other; leave out ids of another shop",
    ]
    without_ids = {"Product Id": None, "Variant Id": None}
    assert shop.run(ProductImport(), file_key=shop.put(content), columns=without_ids).created == 4


def make_category(shop, handle, rank):
    shop.rows(
        "INSERT INTO product_category (id, name, handle, mpath, rank, description) "
        f"VALUES ('pcat_{handle}', '{handle}', '{handle}', 'pcat_{handle}.', {rank}, '')"
    )


CATEGORIES = (
    "SELECT p.handle, k.product_category_id FROM product_category_product k JOIN product p ON p.id = k.product_id "
    "ORDER BY 1, 2"
)


def test_categories_that_the_shop_has_are_taken_and_the_others_are_counted_and_shown(shop):
    make_category(shop, "tees", 0)
    make_category(shop, "clothing", 1)
    job = shop.preview(
        ProductImport(), file_key=shop.put(FILES / "woocommerce.csv"), layout="woocommerce", currency="eur"
    )
    assert (job.plan["counts"]["categories_added"], job.plan["counts"]["categories_unknown"]) == (3, 0)
    load(shop, "woocommerce")
    assert shop.rows(CATEGORIES) == [("cap", "pcat_clothing"), ("tee", "pcat_clothing"), ("tee", "pcat_tees")]

    make_category(shop, "hats", 2)
    load(shop, "shopify")
    assert ("wool-hat", "pcat_hats") in shop.rows(CATEGORIES)


def test_categories_that_the_shop_does_not_have_are_left_out_and_take_a_product_out_of_none(shop):
    result = load(shop, "woocommerce")
    lines = {entry.key: entry.message for entry in result.stat_descriptors}
    assert lines["product-import-unknown"].startswith("3 categories of products that the shop does not have")
    make_category(shop, "own", 0)
    shop.rows("INSERT INTO product_category_product SELECT 'pcat_own', id FROM product")

    job = shop.preview(
        ProductImport(), file_key=shop.put(FILES / "woocommerce.csv"), layout="woocommerce", currency="eur"
    )

    assert job.plan["counts"]["categories_removed"] == 0
    assert sorted(cell["message"] for cell in job.plan["not_taken"]) == [
        "there is no category with the handle clothing",
        "there is no category with the handle clothing",
        "there is no category with the handle tees",
    ]


@pytest.mark.parametrize(
    ("cell", "handles"),
    [
        ("Home & Garden > Lamps", ["lamps"]),
        (r"Cups\, Mugs", ["cups-mugs"]),
        ("Hats, Men > Hats", ["hats"]),
        ("Été > Crème brûlée", ["creme-brulee"]),
    ],
)
def test_a_category_is_meant_by_the_last_name_of_its_path(shop, cell, handles):
    for number, handle in enumerate(handles):
        make_category(shop, handle, number)
    content = f'ID,Type,SKU,Name,Published,Regular price,Categories\n1,simple,A,Thing,1,5,"{cell}"\n'
    result = load(shop, "woocommerce", content)
    assert result.rejected == 0
    assert [category for _, category in shop.rows(CATEGORIES)] == [f"pcat_{handle}" for handle in handles]


def test_a_row_that_is_not_utf8_is_a_reject_of_another_shops_file_too(shop):
    content = (FILES / "shopify.csv").read_text().replace("Acme", "Größen-Acme ÄÖÜ").encode()
    content = content.replace(b"HAT-M-R", b"HAT-\xe9-R")

    result = load(shop, "shopify", content)

    rejected = [(row["reject_line"], row["reject_reason"]) for row in shop.rejects(result)]
    assert ("4", "Variant SKU: 'HAT-\ufffd-R' is not UTF-8 (E9); correct it, or set the encoding") in rejected
