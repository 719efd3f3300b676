"""How rows meet the products that are there, and what is left alone."""

import hashlib
from pathlib import Path

import pytest

from batch_jobs.strategies.product_export import ProductExport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import ContextRefused
from support.shop import GOLDEN, base

HEAD = (
    "Product Id;Product Handle;Product Title;Product Status;Variant Id;Variant Title;Variant SKU;"
    "Variant Inventory Quantity;Price EUR;Price NA [USD];Option 1 Name;Option 1 Value;Image 1 Url;Product Tags\n"
)
MUG = ";mug;Mug;draft;;Blue;MUG-B;4;10;12;Colour;Blue;http://i/1.png;new\n"
MUG_RED = ";mug;Mug;draft;;Red;MUG-R;5;11;;Colour;Red;http://i/1.png;new\n"


def load(shop, content, **context):
    return shop.run(
        ProductImport(), file_key=shop.put(content if content.startswith("Product") else HEAD + content), **context
    )


def reasons(shop, result):
    return [(int(row["reject_line"]), row["reject_reason"]) for row in shop.rejects(result)]


def counts(result):
    return (result.created, result.updated, result.unchanged, result.rejected)


def test_the_template_imports_as_it_is(shop):
    result = shop.run(ProductImport(), file_key=shop.put(ProductImport().build_template()))
    assert counts(result) == (5, 0, 0, 0)


def test_products_and_variants_are_matched_by_handle_and_sku_without_ids(shop):
    load(shop, MUG + MUG_RED)
    result = load(shop, MUG.replace("Mug;draft", "Big Mug;published") + MUG_RED.replace("MUG-R;5", "MUG-R;7"))
    assert counts(result) == (0, 2, 1, 0)
    assert shop.rows("SELECT title, status FROM product") == [("Big Mug", "published")]
    assert shop.rows("SELECT sku, inventory_quantity FROM product_variant ORDER BY sku") == [("MUG-B", 4), ("MUG-R", 7)]


def test_with_match_id_what_is_there_is_a_reject(shop):
    load(shop, MUG)
    ((product,),) = shop.rows("SELECT id FROM product")
    result = load(shop, MUG, match="id")
    assert counts(result) == (0, 0, 0, 1)
    assert reasons(shop, result)[0][1].startswith(
        f"Product Handle: product {product} has this handle; give its Product Id"
    )


def test_with_match_id_ids_are_matched(shop):
    load(shop, MUG)
    ((product, variant),) = shop.rows("SELECT product_id, id FROM product_variant")
    result = load(shop, MUG.replace(";mug", f"{product};cup", 1).replace("draft;", f"draft;{variant}"), match="id")
    assert counts(result) == (0, 1, 1, 0)
    assert shop.rows("SELECT handle FROM product") == [("cup",)]


@pytest.mark.parametrize(
    ("mode", "content", "reason"),
    [
        ("create", MUG, "Product Handle: the shop has this product and mode is create"),
        (
            "update",
            MUG.replace(";mug;", ";new;").replace("MUG-B", "NEW"),
            "the shop has no product with this handle and mode is update",
        ),
    ],
)
def test_a_mode_may_allow_only_new_or_only_known_products(shop, mode, content, reason):
    load(shop, MUG)
    result = load(shop, content, mode=mode)
    assert reasons(shop, result)[0][1].endswith(reason)
    assert shop.rows("SELECT count(*) FROM product") == [(1,)]


def test_a_new_variant_joins_its_product_behind_the_others(shop):
    load(shop, MUG)
    assert counts(load(shop, MUG_RED)) == (1, 0, 1, 0)
    assert shop.rows("SELECT sku, variant_rank FROM product_variant ORDER BY variant_rank") == [
        ("MUG-B", 0),
        ("MUG-R", 1),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            MUG_RED.replace("MUG-R", "MUG-X").replace("Colour;Red", "Colour;Blue"),
            "the product has a variant with these",
        ),
        (MUG_RED.replace("Colour;Red", "Size;Red"), "Option 1 Name: the product has no option 'Size'"),
        (MUG_RED.replace("Colour;Red", ";"), "has 0 option values where the product has 1 options"),
        (MUG_RED.replace(";mug;", ";cup;").replace("MUG-R", "MUG-B"), "Variant SKU: a variant of the product prod_"),
        (MUG_RED.replace("draft;;", "draft;variant_no;"), "Variant Id: there is no variant with the id variant_no"),
    ],
)
def test_a_row_that_does_not_fit_its_product_is_refused(shop, row, reason):
    load(shop, MUG)
    result = load(shop, row)
    assert result.rejected == 1
    assert reasons(shop, result)[0][1].startswith(reason)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (MUG_RED, "has 1 option values where the product has 2 options"),
        (MUG.replace("Colour;Blue", "Size;Big"), "Option 1 Name: the variant has no value for the option 'Size'"),
    ],
)
def test_an_option_that_no_variant_has_a_value_for_counts_too(shop, row, reason):
    cup = MUG.replace(";mug;", ";cup;").replace("MUG-B", "CUP-B")
    load(shop, MUG + cup)
    shop.rows(
        "INSERT INTO product_option (id, title, product_id) "
        "SELECT 'opt_size', 'Size', id FROM product WHERE handle = 'mug'"
    )

    result = load(shop, row + cup)

    assert reasons(shop, result) == [(2, reason)]
    assert result.unchanged == 2


def test_a_product_with_a_bad_row_is_refused_whole_with_its_good_rows(shop):
    result = load(shop, MUG + MUG_RED.replace(";5;", ";x;") + MUG.replace(";mug;", ";cup;").replace("MUG-B", "CUP"))
    assert reasons(shop, result) == [
        (2, "another row of this product is refused"),
        (3, "Variant Inventory Quantity: 'x' is not a whole number"),
    ]
    assert shop.rows("SELECT handle FROM product") == [("cup",)]


def test_S38_the_corrected_rejects_file_ends_as_a_clean_import_does(shop, open_shop):
    rows = MUG + MUG_RED.replace(";5;", ";x;") + MUG.replace(";mug;", ";cup;").replace("MUG-B", "CUP")
    first = load(shop, rows)
    corrected = shop.read(first.rejects_file_key).replace(",x,", ",5,")
    assert counts(load(shop, corrected)) == (3, 0, 0, 0)

    clean = open_shop(base)
    load(clean, rows.replace(";x;", ";5;"))
    assert clean.picture() == shop.picture()


def test_prices_in_price_lists_and_for_quantities_stay(shop):
    load(shop, MUG)
    ((variant,),) = shop.rows("SELECT id FROM product_variant")
    shop.rows("INSERT INTO price_list (id, name, description) VALUES ('pl_1', 'l', 'l')")
    for number, (quantity, price_list) in enumerate([("5", "NULL"), ("NULL", "'pl_1'")]):
        shop.rows(
            "INSERT INTO money_amount (id, currency_code, amount, min_quantity, price_list_id) "
            f"VALUES ('ma_{number}', 'eur', 1, {quantity}, {price_list})"
        )
        values = f"('p{number}', 'ma_{number}', '{variant}')"
        shop.rows(f"INSERT INTO product_variant_money_amount (id, money_amount_id, variant_id) VALUES {values}")
    exported = shop.table(shop.run(ProductExport()))
    assert [(row["Price EUR"], row["Price NA [USD]"]) for row in exported] == [("10", "12")]
    assert counts(load(shop, MUG.replace(";10;12;", ";;;"))) == (0, 1, 1, 0)
    assert shop.rows("SELECT id FROM money_amount ORDER BY id") == [("ma_0",), ("ma_1",)]


@pytest.mark.parametrize(
    ("prices", "left"),
    [
        (";9;;", [("eur", None, 900)]),  # a price in a currency replaces all
        (";;;", []),  # empty cells take all away
        # regions' prices only: the plain price in the region's currency stays, others go
        (";;13;", [("usd", "NA", 1300), ("usd", None, 700)]),
    ],
)
def test_prices_are_replaced_as_medusa_replaces_them(shop, prices, left):
    load(shop, HEAD.replace("Price EUR", "Price EUR;Price USD") + MUG.replace(";10;12;", ";10;7;12;"))
    load(shop, MUG.replace(";10;12;", prices))
    found = shop.rows(
        "SELECT m.currency_code, r.name, amount FROM money_amount m LEFT JOIN region r ON r.id = region_id"
    )
    assert sorted(found, key=repr) == sorted(left, key=repr)
    assert shop.picture()["link without price"] == {}


def test_a_column_that_is_absent_leaves_its_field_alone_and_an_empty_cell_clears_it(shop):
    load(shop, "Product Handle;Product Title;Product Subtitle;Product Material;Variant Title;Variant SKU;"
               "Variant Inventory Quantity\nmug;Mug;sub;clay;One;M;1\n")  # fmt: skip
    load(shop, "Product Handle;Product Subtitle;Variant SKU\nmug;;M\n")
    assert shop.rows("SELECT title, subtitle, material FROM product") == [("Mug", None, "clay")]


def test_an_empty_cell_is_the_default_where_the_database_wants_a_value(shop):
    head = (
        "Product Handle;Product Title;Product Status;Product Discountable;Variant Title;Variant SKU;"
        "Variant Inventory Quantity;Variant Manage Inventory\n"
    )
    load(shop, head + "mug;Mug;;;One;M;1;\n")
    assert shop.rows("SELECT status, discountable FROM product") == [("draft", True)]
    load(shop, head + "mug;Mug;published;false;One;M;1;false\n")
    assert counts(load(shop, head + "mug;Mug;;;One;M;1;\n")) == (0, 0, 2, 0)
    assert shop.rows("SELECT status, discountable FROM product") == [("published", False)]


def test_sets_are_replaced_where_their_columns_are_there(shop):
    load(shop, MUG)
    load(shop, "Product Handle;Variant SKU\nmug;MUG-B\n")
    assert sum(shop.picture()["image"].values()) == 1
    load(shop, "Product Handle;Variant SKU;Image 1 Url;Product Tags\nmug;MUG-B;;\n")
    picture = shop.picture()
    assert (picture["image"], picture["tag"]) == ({}, {("mug", "new"): 1})  # Medusa: no tags leave the product's own


def test_codes_keep_their_zeros_and_formulas_come_back(shop):
    load(shop, MUG.replace("MUG-B", "00123").replace("Mug;", "'=1+1;"))
    assert shop.rows("SELECT sku FROM product_variant") == [("00123",)]
    assert shop.rows("SELECT title FROM product") == [("=1+1",)]
    exported = shop.run(ProductExport())
    assert shop.table(exported)[0]["Product Title"] == "'=1+1"
    assert counts(shop.run(ProductImport(), file_key=exported.file_key)) == (0, 0, 2, 0)


@pytest.mark.parametrize(("cell", "message"), [("1,50", "write decimals after a point"), ("12abc", "is not a price")])
def test_a_price_that_medusa_would_cut_is_a_reject(shop, cell, message):
    assert message in reasons(shop, load(shop, MUG.replace(";10;", f";{cell};")))[0][1]


def test_currencies_without_minor_units_are_whole(shop):
    load(shop, HEAD.replace("Price EUR", "Price JPY") + MUG.replace(";10;12;", ";1500;12;"))
    assert ("jpy", 1500) in shop.rows("SELECT currency_code, amount FROM money_amount")
    assert shop.table(shop.run(ProductExport()))[0]["Price JPY"] == "1500"


def test_a_file_in_another_encoding_and_delimiter_is_found_out(shop):
    content = (HEAD + MUG.replace("Mug;", "Crème;")).replace(";", "\t").encode("cp1252")
    result = shop.run(ProductImport(), file_key=shop.put(content))
    assert counts(result) == (2, 0, 0, 0)
    assert shop.rows("SELECT title FROM product") == [("Crème",)]


def test_columns_can_be_renamed_and_left_out(shop):
    content = (HEAD + MUG).replace("Product Title", "Titel").replace("Product Tags", "Farbe")
    assert counts(load(shop, content, columns={"Titel": "Product Title", "Farbe": None})) == (2, 0, 0, 0)


def test_the_preview_shows_fields_before_and_after(shop):
    load(shop, MUG)
    job = shop.preview(
        ProductImport(), file_key=shop.put(HEAD + MUG.replace("Mug;", "Cup;").replace(";4;10;", ";6;9.99;"))
    )
    assert [(change["line"], change["column"], change["before"], change["after"]) for change in job.plan["sample"]] == [
        (2, "Product Title", "Mug", "Cup"),
        (2, "Variant Inventory Quantity", "4", "6"),
        (2, "Price EUR, in minor units", "1000", "999"),
    ]


def test_S36_a_dry_run_leaves_the_database_as_it_is_and_counts_what_the_run_then_does(shop):
    shop.run(ProductImport(), file_key=shop.put(GOLDEN / "products_100.csv"))
    before = contents(shop)
    job = shop.preview(ProductImport(), file_key=shop.put(HEAD + MUG + MUG_RED))
    assert contents(shop) == before
    told = dict(job.plan["counts"])
    hooks.process(ProductImport(), job)
    assert (told["products_created"], told["variants_created"]) == (1, 2)
    assert counts(job.result) == (3, 0, 0, 0)


def contents(shop):
    if shop.target.dialect.name == "sqlite":
        shop.target.dispose()
        return hashlib.sha256(Path(shop.target.url.database).read_bytes()).hexdigest()
    names = [
        name for (name,) in shop.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    ]
    rows = {name: sorted(shop.rows(f'SELECT xmin::text, ctid::text, t::text FROM "{name}" t')) for name in names}
    return rows, shop.rows("SELECT last_value, is_called FROM order_display_id_seq")


def test_a_context_without_a_file_is_refused(shop):
    with pytest.raises(ContextRefused, match="product-import needs a file_key"):
        shop.job(ProductImport(), fileKey=" ")


def test_a_preview_of_many_groups_tells_everything_in_the_order_of_the_file(shop):
    shop.chunk_size = 2
    products = [
        f";mug-{number};Mug;draft;;Blue;MUG-{number};4;10;12;Colour;Blue;http://i/{number}.png;new\n"
        for number in range(9)
    ]
    load(shop, "".join(products))
    changed = [line.replace("Mug;draft", f"Mug {number};draft") for number, line in enumerate(products)]
    changed[3] = changed[3].replace("draft", "sold")
    changed[6] = changed[6].replace(";4;", ";many;")

    job = shop.preview(ProductImport(), file_key=shop.put(HEAD + "".join(changed)))

    assert job.plan["_groups"] == 4
    assert [change["after"] for change in job.plan["sample"]] == [f"Mug {number}" for number in (0, 1, 2, 4, 5, 7, 8)]
    assert [line for line, _ in reasons(shop, job.result)] == [5, 8]


def test_a_value_of_an_earlier_group_is_found_again(shop):
    shop.chunk_size = 1
    other = MUG.replace("mug;Mug", "cup;Cup").replace("MUG-B", "CUP-B")
    load(shop, MUG + other)
    assert shop.rows("SELECT url FROM image") == [("http://i/1.png",)]
    assert shop.rows("SELECT value FROM product_tag") == [("new",)]
    assert shop.rows("SELECT count(*) FROM product_images") == [(2,)]


def with_categories(shop):
    for number, handle in enumerate(["kitchen", "gifts", "sale"]):
        shop.rows(
            "INSERT INTO product_category (id, name, handle, mpath, rank, description) "
            f"VALUES ('pcat_{handle}', 'The {handle}', '{handle}', 'pcat_{handle}.', {number}, '')"
        )
    head = HEAD.replace("Product Tags", "Product Category 1 Handle;Product Category 2 Handle;Product Category 2 Name")
    return lambda *cells: load(shop, head + MUG.replace(";new\n", f";{';'.join(cells)};whatever\n"))


def categories(shop):
    return shop.rows("SELECT product_category_id FROM product_category_product ORDER BY 1")


def test_categories_are_set_by_handle_replaced_and_cleared_as_medusa_does(shop):
    categorised = with_categories(shop)
    assert counts(categorised("kitchen", "gifts")) == (2, 0, 0, 0)
    assert categories(shop) == [("pcat_gifts",), ("pcat_kitchen",)]
    assert counts(categorised("gifts", "kitchen")) == (0, 0, 2, 0)
    load(shop, MUG)
    assert categories(shop) == [("pcat_gifts",), ("pcat_kitchen",)]
    assert counts(categorised("", "sale")) == (0, 1, 1, 0)
    assert categories(shop) == [("pcat_sale",)]
    categorised("", "")
    assert categories(shop) == []


def test_an_unknown_category_is_a_reject(shop):
    result = with_categories(shop)("kitchen", "nowhere")
    assert reasons(shop, result) == [
        (2, "Product Category 2 Handle: there is no category with the handle nowhere"),
    ]


def test_categories_are_exported_last_and_come_back_unchanged(shop):
    with_categories(shop)("sale", "kitchen")
    exported = shop.run(ProductExport())
    (row,) = shop.table(exported)
    assert list(row.items())[-6:] == [
        ("Product Category 1 Handle", "sale"),
        ("Product Category 1 Name", "The sale"),
        ("Product Category 1 Description", ""),
        ("Product Category 2 Handle", "kitchen"),
        ("Product Category 2 Name", "The kitchen"),
        ("Product Category 2 Description", ""),
    ]
    assert counts(shop.run(ProductImport(), file_key=exported.file_key)) == (0, 0, 2, 0)
