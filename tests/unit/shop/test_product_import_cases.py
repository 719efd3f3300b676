"""What people reported of other shops' imports, and what is right; each of a kind."""

import re

import pytest

from batch_jobs.strategies.product_export import ProductExport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.shop.importing.headers import read_product_headers

BASE = """\
Product Handle;Product Title;Product Subtitle;Product Description;Product Status;Product Tags;Product Type;\
Product Collection Handle;Variant Title;Variant SKU;Variant Barcode;Variant Inventory Quantity;Price EUR;Price USD;\
Option 1 Name;Option 1 Value;Image 1 Url;Image 2 Url
shirt;Shirt;Soft;A shirt;published;new,cotton;Tops;summer;S;SH-S;111;10;20;22;Size;S;http://i/1.png;http://i/2.png
shirt;Shirt;Soft;A shirt;published;new,cotton;Tops;summer;M;SH-M;112;5;20;22;Size;M;http://i/1.png;http://i/2.png
mug;Mug;;A mug;draft;;Kitchen;;One;MUG;;7;9.5;;Size;One;;
"""
PRICES = """
    SELECT v.sku, m.currency_code, m.amount FROM money_amount m
    JOIN product_variant_money_amount l ON l.money_amount_id = m.id JOIN product_variant v ON v.id = l.variant_id
    ORDER BY 1, 2, 3"""
OPTIONS = """
    SELECT v.sku, x.value FROM product_option_value x JOIN product_variant v ON v.id = x.variant_id ORDER BY 1, 2"""
TYPES = """
    SELECT p.handle, t.value FROM product p JOIN product_type t ON t.id = p.type_id AND t.deleted_at IS NULL
    ORDER BY 1"""


@pytest.fixture
def stocked(shop):
    """The shop with a shirt of two sizes, and a mug."""
    assert load(shop, BASE).rejected == 0
    return shop


def load(shop, content, **context):
    return shop.run(ProductImport(), file_key=shop.put(content), **context)


def previewed(shop, content, **context):
    """The plan, and what the run then does."""
    job = shop.preview(ProductImport(), file_key=shop.put(content), **context)
    plan = dict(job.plan)
    hooks.process(ProductImport(), job)
    counts = plan["counts"]
    created = counts["products_created"] + counts["variants_created"]
    updated = counts["products_updated"] + counts["variants_updated"]
    assert (created, updated) == (job.result.created, job.result.updated), shop.rejects(job.result)
    assert counts["rows_rejected"] == job.result.rejected
    return plan, job.result


def reasons(shop, result):
    return [(int(row["reject_line"]), row["reject_reason"]) for row in shop.rejects(result)]


def shown(plan):
    return [(change["column"], change["before"], change["after"]) for change in plan["sample"]]


@pytest.mark.parametrize("chunk_size", [1, 40])
def test_R1_a_type_that_is_not_there_yet_is_made_for_products_that_are(stocked, chunk_size):
    stocked.chunk_size = chunk_size
    plan, result = previewed(
        stocked, "Product Handle;Variant SKU;Product Type\nmug;MUG;Cups\nshirt;SH-S;Cups\nshirt;SH-M;Cups\n"
    )
    assert (result.updated, result.rejected) == (2, 0)
    assert stocked.rows(TYPES) == [("mug", "Cups"), ("shirt", "Cups")]
    assert stocked.rows("SELECT count(*) FROM product_type WHERE value = 'Cups'") == [(1,)]
    assert shown(plan) == [("Product Type", "Kitchen", "Cups"), ("Product Type", "Tops", "Cups")]
    assert plan["counts"]["types_made"] == 1
    assert plan["by_column"] == {"Product Type": {"changed": 2}}


def test_R1_two_thousand_products_with_one_new_type_are_each_written_once(shop):
    shop.chunk_size = 500
    head = "Product Handle;Product Title;Product Type;Variant Title;Variant SKU;Variant Inventory Quantity\n"
    rows = "".join(f"p{n};P {n};{{}};V;S{n};1\n" for n in range(2000))
    load(shop, head + rows.replace("{}", "old"))
    statements = shop.statements()
    result = load(shop, head + rows.replace("{}", "new"))
    assert (result.updated, result.rejected) == (2000, 0)
    assert len([statement for statement in statements if "SAVEPOINT" in statement]) < 40


def test_R4_a_collection_or_type_that_was_deleted_is_made_anew_once_and_found_from_then_on(stocked):
    exported = stocked.run(ProductExport())
    stocked.rows("UPDATE product_collection SET deleted_at = CURRENT_TIMESTAMP WHERE handle = 'summer'")
    stocked.rows("UPDATE product_type SET deleted_at = CURRENT_TIMESTAMP WHERE value = 'Tops'")
    plan, result = previewed(stocked, stocked.read(exported.file_key))
    assert (result.updated, result.rejected) == (1, 0)
    assert (plan["counts"]["collections_made"], plan["counts"]["types_made"]) == (1, 1)
    assert ("Product Collection Handle", "summer (deleted)", "summer") in shown(plan)
    assert stocked.rows(TYPES) == [("mug", "Kitchen"), ("shirt", "Tops")]
    assert stocked.rows("SELECT title FROM product_collection WHERE handle = 'summer' AND deleted_at IS NULL") == [
        ("Summer",)
    ]
    again = load(stocked, stocked.read(exported.file_key))
    assert (again.unchanged, again.rejected) == (5, 0)


def test_R4_a_collection_deleted_and_made_again_is_the_one_that_is_there(stocked):
    stocked.rows("UPDATE product_collection SET deleted_at = CURRENT_TIMESTAMP WHERE handle = 'summer'")
    stocked.rows("INSERT INTO product_collection (id, title, handle) VALUES ('pcol_new', 'Summer', 'summer')")
    assert load(stocked, BASE).rejected == 0
    assert stocked.rows("SELECT collection_id FROM product WHERE handle = 'shirt'") == [("pcol_new",)]


@pytest.mark.parametrize("price", ["20", "5", "9.5", "10"])
def test_R5_of_two_prices_of_one_currency_one_is_left_and_it_is_the_files(stocked, price):
    second_price(stocked)
    content = f"Product Handle;Variant SKU;Price EUR\nmug;MUG;{price}\n"
    plan, result = previewed(stocked, content)
    assert result.updated == 1
    assert [row for row in stocked.rows(PRICES) if row[0] == "MUG"] == [("MUG", "eur", int(float(price) * 100))]
    assert plan["counts"]["prices_removed"] == 1
    assert load(stocked, content).unchanged == 2


def second_price(shop):
    ((variant,),) = shop.rows("SELECT id FROM product_variant WHERE sku = 'MUG'")
    shop.rows("INSERT INTO money_amount (id, currency_code, amount) VALUES ('ma_d', 'eur', 1000)")
    values = f"('pvma_d', 'ma_d', '{variant}')"
    shop.rows(f"INSERT INTO product_variant_money_amount (id, money_amount_id, variant_id) VALUES {values}")


def test_R8_prices_that_go_are_counted_and_shown(stocked):
    plan, _ = previewed(stocked, "Product Handle;Variant SKU;Price EUR\nshirt;SH-S;18\nshirt;SH-M;\n")
    assert {name: plan["counts"][f"prices_{name}"] for name in ("added", "changed", "removed")} == {
        "added": 0,
        "changed": 1,
        "removed": 3,
    }
    assert plan["by_column"] == {"Price EUR": {"changed": 1, "removed": 1}, "Price USD": {"removed": 2}}
    assert sorted(shown(plan), key=str) == [
        ("Price EUR, in minor units", "2000", "1800"),
        ("Price EUR, in minor units", "2000", None),
        ("Price USD, in minor units", "2200", None),
        ("Price USD, in minor units", "2200", None),
    ]


def test_R8_images_tags_and_channels_that_come_and_go_are_counted_and_shown(stocked):
    head = "Product Handle;Variant SKU;Product Tags;Image 1 Url;Sales Channel 1 Name\n"
    plan, _ = previewed(stocked, head + "shirt;SH-S;new,linen;http://i/3.png;Web\nshirt;SH-M;;;\n")
    kinds = ("images", "tags", "channels")
    counts = {kind: (plan["counts"][f"{kind}_added"], plan["counts"][f"{kind}_removed"]) for kind in kinds}
    assert counts == {"images": (1, 2), "tags": (1, 1), "channels": (1, 0)}
    assert plan["counts"]["tags_made"] == 1
    assert shown(plan) == [
        ("Images", "http://i/1.png, http://i/2.png", "http://i/3.png"),
        ("Product Tags", "new, cotton", "new, linen"),
        ("Sales Channels", None, "Web"),
    ]


def test_R8_variants_that_the_file_does_not_have_are_counted(stocked):
    plan, _ = previewed(stocked, "Product Handle;Variant SKU;Price EUR\nshirt;SH-S;18\nmug;MUG;9\n")
    assert plan["counts"]["variants_left_alone"] == 1


@pytest.mark.parametrize(
    ("columns", "thumbnail"),
    [("Product Thumbnail", "http://i/1.png"), ("Product Thumbnail;Image 1 Url;Image 2 Url", "http://i/9.png")],
)
def test_R9_an_empty_thumbnail_is_the_first_image(stocked, columns, thumbnail):
    images = ";;http://i/9.png" if "Image" in columns else ""
    load(stocked, f"Product Handle;Variant SKU;{columns}\nshirt;SH-S;{images}\nmug;MUG{';' * columns.count(';')};\n")
    assert stocked.rows("SELECT handle, thumbnail FROM product ORDER BY handle") == [
        ("mug", None),
        ("shirt", thumbnail),
    ]


VARIANTS = (
    "Product Handle;Product Title;Variant Title;Variant SKU;Variant Inventory Quantity;Option 1 Name;Option 1 Value\n"
)


@pytest.mark.parametrize(
    "rows",
    [
        "shirt;Shirt;S;SH-S;1;Size;M\n",  # that of a sibling that the file does not have
        "shirt;Shirt;S;SH-S;1;Size;M\nshirt;Shirt;M;SH-M;1;Size;M\n",
        "shirt;Shirt;L;SH-S;1;Size;L\nshirt;Shirt;L;SH-L;1;Size;L\n",  # that of a new one
        "shirt;Shirt;L;SH-S;1;Size;L\nshirt;Shirt;L;SH-M;1;Size;L\n",
    ],
)
def test_R10_two_variants_of_a_product_cannot_end_with_the_same_options(stocked, rows):
    before = stocked.rows(OPTIONS)
    _, result = previewed(stocked, VARIANTS + rows)
    assert result.rejected == rows.count("\n")
    assert any("the product has a variant with these option values" in reason for _, reason in reasons(stocked, result))
    assert stocked.rows(OPTIONS) == before


def test_R10_option_values_that_the_file_frees_can_be_taken(stocked):
    rows = "shirt;Shirt;S;SH-S;1;Size;M\nshirt;Shirt;M;SH-M;1;Size;L\nshirt;Shirt;S;SH-NEW;1;Size;S\n"
    _, result = previewed(stocked, VARIANTS + rows)
    assert (result.created, result.updated, result.rejected) == (1, 2, 0)
    assert stocked.rows(OPTIONS) == [("MUG", "One"), ("SH-M", "L"), ("SH-NEW", "S"), ("SH-S", "M")]


def test_R10_codes_that_the_file_frees_can_be_taken(stocked):
    ids = dict(stocked.rows("SELECT sku, id FROM product_variant"))
    head = (
        "Product Handle;Product Title;Variant Id;Variant Title;Variant SKU;Variant Barcode;Variant Inventory Quantity;"
    )
    rows = (
        f"shirt;Shirt;{ids['SH-S']};S;SH-M;112;10;Size;S\n"
        f"shirt;Shirt;{ids['SH-M']};M;MUG;111;5;Size;M\n"
        f"mug;Mug;{ids['MUG']};One;CUP;;7;Size;One\n"
        "mug;Mug;;Two;SH-S;;7;Size;Two\n"
    )
    _, result = previewed(stocked, f"{head}Option 1 Name;Option 1 Value\n{rows}")
    assert (result.created, result.updated, result.rejected) == (1, 3, 0), reasons(stocked, result)
    found = dict(stocked.rows("SELECT id, sku FROM product_variant"))
    assert (found[ids["SH-S"]], found[ids["SH-M"]], found[ids["MUG"]]) == ("SH-M", "MUG", "CUP")
    assert dict(stocked.rows("SELECT sku, barcode FROM product_variant WHERE barcode IS NOT NULL")) == {
        "SH-M": "112",
        "MUG": "111",
    }


def test_R10_a_code_that_nobody_frees_is_refused(stocked):
    ids = dict(stocked.rows("SELECT sku, id FROM product_variant"))
    _, result = previewed(stocked, f"Product Handle;Variant Id;Variant SKU\nshirt;{ids['SH-S']};MUG\n")
    assert reasons(stocked, result)[0][1] == f"Variant SKU: variant {ids['MUG']} has this SKU"


def test_R11_a_row_that_names_another_product_is_refused(stocked):
    ids = dict(stocked.rows("SELECT handle, id FROM product"))
    head = "Product Id;" + VARIANTS
    rows = f"{ids['shirt']};shirt;Shirt;S;SH-S;10;Size;S\n{ids['mug']};shirt;Shirt;Big;MUG-BIG;1;Size;Big\n"
    _, result = previewed(stocked, head + rows)
    assert result.rejected == 2
    assert reasons(stocked, result)[1] == (
        3,
        f"Product Id: is '{ids['mug']}' where line 2 of the same product has '{ids['shirt']}'",
    )


@pytest.mark.parametrize(
    ("column", "cells", "other"),
    [
        ("Product Title", ("Shirt", "Better Shirt"), "'Shirt'"),
        ("Product Tags", ("", "new"), "none"),
        ("Image 1 Url", ("http://i/1.png", "http://i/2.png"), "'http://i/1.png'"),
        ("Sales Channel 1 Name", ("Web", "Kiosk"), "'Web'"),
    ],
)
def test_R12_a_cell_of_the_product_that_differs_in_a_later_row_is_counted_and_shown(stocked, column, cells, other):
    content = f"Product Handle;Variant SKU;{column}\nshirt;SH-S;{cells[0]}\nshirt;SH-M;{cells[1]}\n"
    plan, result = previewed(stocked, content)
    assert (plan["counts"]["cells_not_taken"], result.rejected) == (1, 0)
    assert plan["not_taken"] == [
        {
            "line": 3,
            "column": column,
            "message": f"is '{cells[1]}' where line 2 of the same product has {other}",
        }
    ]
    assert "1 cell of later rows differ" in next(e.message for e in result.summary if e.name == "Not taken")


def test_R12_later_rows_may_leave_cells_of_the_product_empty(stocked):
    content = "Product Handle;Variant SKU;Product Title\nshirt;SH-S;Better Shirt\nshirt;SH-M;\n"
    _, result = previewed(stocked, content)
    assert (result.updated, result.rejected) == (1, 0)
    assert stocked.rows("SELECT title FROM product WHERE handle = 'shirt'") == [("Better Shirt",)]


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
def test_R15_an_export_in_any_format_comes_back(stocked, format):
    stocked.rows("UPDATE product SET title = '=1+1', subtitle = '''=x', description = '00123' WHERE handle = 'mug'")
    exported = stocked.run(ProductExport(), format=format)
    result = stocked.run(ProductImport(), file_key=exported.file_key)
    assert (result.unchanged, result.rejected) == (5, 0), reasons(stocked, result)


def test_R16_a_file_without_skus_can_be_imported_any_number_of_times(shop):
    rows = "hat;Hat;Small;;4;Size;S\nhat;Hat;Large;;4;Size;L\ncap;Cap;One;;1;;\n"
    for content in (
        VARIANTS + rows,
        (VARIANTS + rows).replace("Variant SKU;", "").replace(";;4", ";4").replace(";;1", ";1"),
    ):
        first = load(shop, content)
        assert (first.created or first.unchanged, first.rejected) == (5, 0), reasons(shop, first)
        assert load(shop, content).unchanged == 5
    _, result = previewed(shop, VARIANTS + rows.replace("Large;;4", "Large;;9"))
    assert (result.updated, result.unchanged) == (1, 4)


def test_R16_a_row_without_a_sku_does_not_take_the_sku_of_a_variant_away(stocked):
    _, result = previewed(stocked, VARIANTS + "mug;Mug;One;;7;Size;One\n")
    assert (
        "the product has a variant with these option values; give its Variant Id or SKU"
        in reasons(stocked, result)[0][1]
    )


def test_R16_the_template_imports_as_it_is_any_number_of_times(shop):
    for outcome in ("created", "unchanged", "unchanged"):
        result = load(shop, ProductImport().build_template())
        assert (getattr(result, outcome), result.rejected) == (5, 0)


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        ("Price eur", "did you mean Price EUR?"),
        ("price eu [eur]", "did you mean Price eu [EUR]?"),
        ("Price (EUR)", "did you mean Price EUR?"),
        ("Tags", "did you mean Product Tags?"),
        ("SKU", "did you mean Variant SKU?"),
        ("barcode", "did you mean Variant Barcode?"),
        ("Variant EAN", "Medusa's files have none for EAN and UPC"),
        ("Variant UPC", "Medusa's files have none for EAN and UPC"),
        ("product titel", "did you mean Product Title?"),
    ],
)
def test_an_unknown_column_is_answered_with_the_one_that_is_meant(column, hint):
    with pytest.raises(JobRefused) as refused:
        read_product_headers("f.csv", {"Product Handle": "Product Handle", column: column})
    assert hint in str(refused.value)


def test_a_handle_of_blanks_is_refused(shop):
    result = load(shop, VARIANTS + "  ;Hat;One;H-1;1;;\n")
    assert reasons(shop, result) == [(2, "Product Handle: is blank; it needs a value")]


@pytest.mark.parametrize(
    "head", ["Product Handle;Variant SKU", "Product Handle;Variant SKU;Variant Title;Variant Inventory Quantity"]
)
def test_a_sku_with_blanks_around_it_is_refused_by_its_column(stocked, head):
    result = load(stocked, f"{head}\nshirt;SH-S {';S;1' * head.count('Title')}\n")
    assert reasons(stocked, result) == [(2, "Variant SKU: the shop has SH-S, without the blanks around it")]


@pytest.mark.parametrize("column", ["Product Handle", "Variant SKU", "Variant Barcode"])
def test_a_code_that_no_index_can_hold_is_refused_by_its_column(shop, column):
    row = {"Product Handle": "hat", "Product Title": "Hat", "Variant Title": "One", "Variant SKU": "H"}
    row |= {"Variant Inventory Quantity": "1", "Variant Barcode": "1", column: "x" * 9000}
    result = load(shop, f"{';'.join(row)}\n{';'.join(row.values())}\n")
    assert reasons(shop, result) == [(2, f"{column}: has 9000 bytes; at most 2600 can be looked up")]


def test_a_foreign_channel_id_means_the_channel_of_its_name(stocked):
    head = "Product Handle;Variant SKU;Sales Channel 1 Id;Sales Channel 1 Name\n"
    result = load(stocked, head + "mug;MUG;sc_of_another_shop;Kiosk\n")
    assert (result.updated, result.rejected) == (1, 0)
    assert (
        sum(n for (handle, name), n in stocked.picture()["channel"].items() if (handle, name) == ("mug", "Kiosk")) == 1
    )


def test_the_first_line_is_medusas_and_people_get_others(stocked):
    job = stocked.preview(ProductImport(), file_key=stocked.put("Product Handle;Variant SKU;Price EUR\nmug;MUG;9\n"))
    first = job.result.stat_descriptors[0]
    assert (first.key, first.name) == ("product-import-count", "Products/variants to import")
    assert re.findall(r"\d+", first.message) == ["0", "0", "0", "1"]
    assert first.message.startswith("There will be 0 products created (0  updated).\n             0 variants")
    lines = {entry.name: entry.message for entry in job.result.summary}
    assert lines["To update"] == "0 products and 1 variant"
    assert lines["Prices"] == "0 added, 1 changed, 0 removed"
    assert not any("\n" in message or "  " in message for message in lines.values())
