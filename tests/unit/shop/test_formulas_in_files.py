"""No cell that a job writes is run by a spreadsheet, and each comes back as it was."""

import csv

import pytest

from batch_jobs.strategies.order_export import OrderExport
from batch_jobs.strategies.price_list_import import PriceListImport
from batch_jobs.strategies.product_export import ProductExport
from batch_jobs.strategies.product_import import ProductImport
from support.shop import emptied

RUN = ("=", "+", "-", "@", "\t", "\r")
#: A text for every column of a product file that holds texts.
EVIL = {
    "Product Handle": "=handle",
    "Product Title": "=1+1",
    "Product Subtitle": "+1",
    "Product Description": "-1",
    "Product Thumbnail": "@thumbnail",
    "Product HS Code": "\ttab",
    "Product Origin Country": "\rreturn",
    "Product MID Code": "'=quoted",
    "Product Material": '=HYPERLINK("http://x";"y")',
    "Product Type": "+type",
    "Product Tags": "=tag,-tag",
    "Product External Id": "-x",
    "Variant Title": "@title",
    "Variant SKU": "-sku",
    "Variant Barcode": "+barcode",
    "Variant HS Code": "\t=1",
    "Variant Origin Country": "=c",
    "Variant MID Code": "@m",
    "Variant Material": "-m",
    "Option 1 Name": "=option",
    "Option 1 Value": "+value",
    "Image 1 Url": "=image",
}
NUMBERS = {"Variant Inventory Quantity": "-5", "Price EUR": "1.5"}


@pytest.fixture
def evil_shop(shop):
    """A shop whose every text would be run."""
    assert shop.run(ProductImport(), file_key=shop.put(as_file({**EVIL, **NUMBERS}))).created == 2
    shop.rows("UPDATE sales_channel SET description = '=channel', name = '@' || name")
    shop.rows(
        "INSERT INTO product_sales_channel (product_id, sales_channel_id) "
        "SELECT product.id, sales_channel.id FROM product, sales_channel"
    )
    return shop


def as_file(row):
    """A file in which whoever made it neutralised nothing; quoting keeps blanks and line ends."""
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in row.values()]
    return ";".join(row) + "\n" + ";".join(quoted) + "\n"


def run_cells(text, delimiter, numbers):
    """The cells that a spreadsheet would run, but for negative numbers, which it may show as they are."""
    rows = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter)
    return [(name, cell) for row in rows for name, cell in row.items() if cell.startswith(RUN) and name not in numbers]


def test_S44_texts_are_stored_as_they_are(evil_shop):
    ((title, subtitle, mid_code),) = evil_shop.rows("SELECT title, subtitle, mid_code FROM product")
    assert (title, subtitle, mid_code) == ("=1+1", "+1", "=quoted")  # an apostrophe that hides a formula is taken away
    assert evil_shop.rows("SELECT sku, inventory_quantity FROM product_variant") == [("-sku", -5)]


@pytest.mark.parametrize("file_format", ["csv", "tsv"])
def test_S44_a_product_export_runs_nothing_and_imports_to_the_same_shop(evil_shop, file_format):
    before = evil_shop.picture()
    exported = evil_shop.run(ProductExport(), format=file_format)
    delimiter = {"csv": ";", "tsv": "\t"}[file_format]
    assert run_cells(evil_shop.read(exported.file_key), delimiter, NUMBERS) == []

    again = evil_shop.run(ProductImport(), file_key=exported.file_key)
    assert (again.unchanged, again.rejected) == (2, 0)
    emptied(evil_shop.target)
    ids = {"Product Id": None, "Variant Id": None}
    evil_shop.run(ProductImport(), file_key=exported.file_key, columns=ids)
    assert evil_shop.picture() == before


def test_S44_a_rejects_file_runs_nothing_and_loads_the_same_texts_when_corrected(shop):
    result = shop.run(ProductImport(), file_key=shop.put(as_file({**EVIL, **NUMBERS, "Price EUR": "=2+2"})))
    rejects = shop.read(result.rejects_file_key)
    assert run_cells(rejects, ",", {"Variant Inventory Quantity"}) == []

    (row,) = csv.DictReader(rejects.splitlines(keepends=True))
    assert row["Price EUR"] == "'=2+2"
    assert shop.run(ProductImport(), file_key=shop.put(rejects.replace("'=2+2", "4"))).created == 2
    assert shop.rows("SELECT title, hs_code FROM product") == [("=1+1", "\ttab")]
    assert shop.rows("SELECT sku FROM product_variant") == [("-sku",)]


def test_S44_the_rejects_of_a_price_list_run_nothing(lists_shop):
    ((list_id,),) = lists_shop.rows("SELECT id FROM price_list")
    content = "SKU;Price EUR\n=nowhere;1\n@x;2\n"
    result = lists_shop.run(PriceListImport(), file_key=lists_shop.put(content), price_list_id=list_id)
    assert [row["SKU"] for row in lists_shop.rejects(result)] == ["'=nowhere", "'@x"]
    assert run_cells(lists_shop.read(result.rejects_file_key), ",", ()) == []


def test_S44_an_order_export_runs_nothing(orders_shop):
    orders_shop.rows("UPDATE address SET address_1 = '=1+1', address_2 = '+1', city = '-city', postal_code = '@x'")
    orders_shop.rows("UPDATE customer SET first_name = '\t=1', last_name = '\r=1'")
    orders_shop.rows("UPDATE sales_channel SET name = '=' || name, description = '@d'")
    exported = orders_shop.read(orders_shop.run(OrderExport()).file_key)
    assert "'=1+1" in exported
    assert run_cells(exported, ";", {"Total", "Subtotal", "Tax Total"}) == []
