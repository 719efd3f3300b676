"""Each file that Medusa failed on, or read wrongly, gets an answer here that says what is wrong and where."""

import re

import pytest

from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.errors import JobRefused, TooManyRejects
from support.shop import GOLDEN

#: File of medusa/errors -> the rejected lines, and the reason of the first.
REJECTED = {
    "bad_price": ([2], r"Price EUR: 'abc' is not a price"),
    "bad_quantity": ([2], r"Variant Inventory Quantity: 'many' is not a whole number"),
    "bad_status": ([2], r"Product Status: 'sold' is not one of draft, proposed, published, rejected"),
    "duplicate_sku": ([3], r"Variant SKU: 'sku-1-4-0-duplicate_sku' is already on line 2"),
    "empty_handle": ([3], r"Product Handle: is empty; it needs a value"),
    "missing_option_value": ([2], r"Option 1 Value: is empty; the option has a name"),
    "missing_title": ([2], r"Product Title: is empty; it needs a value"),
    "ragged_row": ([3], r"has 48 cells where the header has 46"),
    "short_row": ([3], r"has 10 cells where the header has 46"),
    "unknown_collection": ([2], r"Product Collection Handle: there is no collection with the handle nowhere"),
    "unknown_currency": ([2, 3, 5], r"Price XXX: the shop has no currency xxx"),
    "unknown_product_id": ([2], r"Product Id: there is no product with the id prod_nope"),
    "unknown_region": ([2, 3, 5], r"Price Mars \[EUR\]: there is no region Mars; there are: EU, NA"),
    "unknown_sales_channel": ([2], r"Sales Channel 1 Name: there is no sales channel Nowhere; there are: Default"),
}
REFUSED = {
    "empty_file": r"the file is empty; it needs at least a line with the names of the columns",
    "missing_handle_column": r"there is no column Product Handle; it says which rows are one product",
    "unknown_column": r'a product file has no column Colour; rename it, or .* \{"Colour": null\}',
}
READ = {"ok": 6, "comma": 6, "few_rows_with_commas": None, "header_only": 0}


def test_every_golden_error_is_one_of_these():
    assert {path.stem for path in (GOLDEN / "errors").glob("*.csv")} == {*REJECTED, *REFUSED, *READ}


@pytest.mark.parametrize("name", REJECTED)
def test_a_bad_row_is_told_with_line_and_column_and_the_other_products_go_in(shop, name):
    lines, reason = REJECTED[name]
    job = shop.preview(ProductImport(), file_key=shop.put(GOLDEN / "errors" / f"{name}.csv"))
    told = shop.rejects(job.result)
    assert [int(row["reject_line"]) for row in told] == lines
    assert re.match(reason, told[0]["reject_reason"])

    result = shop.run(ProductImport(), file_key=shop.put(GOLDEN / "errors" / f"{name}.csv"))
    assert shop.rejects(result) == told
    assert (result.rejected, result.created) == (len(lines), 2 * (3 - len(lines)))
    assert shop.rows("SELECT count(*) FROM product") == [(3 - len(lines),)]


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_meant_is_refused_in_one_line(shop, name):
    with pytest.raises(JobRefused, match=REFUSED[name]) as refused:
        shop.preview(ProductImport(), file_key=shop.put(GOLDEN / "errors" / f"{name}.csv"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", READ)
def test_a_file_that_medusa_guessed_wrong_or_took_is_read(shop, name):
    result = shop.run(ProductImport(), file_key=shop.put(GOLDEN / "errors" / f"{name}.csv"))
    assert result.rejected == 0
    assert result.created == result.count
    assert READ[name] in (None, result.count)


def test_a_name_nearly_right_is_suggested(shop):
    with pytest.raises(JobRefused, match="has no column product title; did you mean Product Title"):
        shop.preview(ProductImport(), file_key=shop.put("Product Handle;product title\nx;y\n"))


def test_with_all_or_nothing_one_bad_row_keeps_everything_out(shop):
    with pytest.raises(TooManyRejects, match="1 row is rejected and max_rejects is 0; nothing was written"):
        shop.run(ProductImport(), file_key=shop.put(GOLDEN / "errors" / "bad_price.csv"), all_or_nothing=True)
    assert shop.rows("SELECT count(*) FROM product") == [(0,)]


def test_S37_as_many_rejects_as_allowed_pass_and_not_one_more(shop):
    bad = GOLDEN / "errors" / "unknown_currency.csv"
    with pytest.raises(TooManyRejects, match="3 rows are rejected and max_rejects is 2; nothing was written"):
        shop.run(ProductImport(), file_key=shop.put(bad), max_rejects=2)
    assert shop.run(ProductImport(), file_key=shop.put(bad), max_rejects=3).rejected == 3
