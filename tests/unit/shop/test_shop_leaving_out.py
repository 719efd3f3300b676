"""A confirmation leaves products out of an import of a shop, by their handles or by a line."""

from typing import Any

import pytest

from batch_jobs.strategies.price_list_import import PriceListImport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import LeaveOutRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.leaving_out import WISH, LeaveOut
from batch_jobs.strategies.undo import Undo
from support.shop import GOLDEN

LIST = "pl_01M85R6TDAY6995AKP489KSWQS"
PRODUCTS = (
    "Product Handle;Product Title;Product Status;Variant Title;Variant SKU;Variant Inventory Quantity;Price EUR;"
    "Option 1 Name;Option 1 Value\n"
    "mug;Mug;draft;S;mug-s;1;5;Size;S\nmug;Mug;draft;L;mug-l;1;7;Size;L\n"
    "plate;Plate;draft;M;plate;1;9;Size;M\nbowl;Bowl;draft;M;bowl;1;3;Size;M\n"
)


def chosen(shop: Any, strategy: BatchJobStrategy, wish: dict[str, Any], **context: Any) -> JobRun:
    job = shop.preview(strategy, **context)
    given = LeaveOut.of(wish)
    strategy.check_leave_out(given, job.id, job.plan, job.files)
    job.plan[WISH] = given.as_json()
    hooks.process(strategy, job)
    hooks.post_process(strategy, job)
    return job


def handles(shop: Any) -> list[str]:
    return [handle for (handle,) in shop.rows("SELECT handle FROM product ORDER BY handle")]


def test_products_are_left_out_by_handle_and_by_any_of_their_lines(shop):
    job = chosen(shop, ProductImport(), {"keys": ["plate"], "lines": [3]}, file_key=shop.put(PRODUCTS), max_rejects=0)

    assert handles(shop) == ["bowl"]
    told = {int(row["reject_line"]): row["reject_reason"] for row in shop.rejects(job.result)}
    assert (told[3], told[4]) == ("left out by its line", "left out by its key")
    assert set(told) == {2, 3, 4}
    assert (job.result.created, job.result.rejected, job.plan["left_out"]["rows"]) == (2, 3, 3)


def test_the_prices_of_what_is_left_out_of_a_price_list_stay_as_they_are(lists_shop):
    query = (
        "SELECT v.id, m.amount FROM money_amount m JOIN product_variant_money_amount k ON k.money_amount_id = m.id "
        f"JOIN product_variant v ON v.id = k.variant_id WHERE m.price_list_id = '{LIST}' ORDER BY 1, 2"
    )
    content = (GOLDEN / "price_list_100.csv").read_text()
    lists_shop.run(PriceListImport(), price_list_id=LIST, file_key=lists_shop.put(content))
    before = lists_shop.rows(query)
    header, *lines = content.splitlines(keepends=True)
    dearer = header
    for line in lines:
        variant, sku, _, other = line.split(";")
        dearer += f"{variant};{sku};77.77;{other}"

    chosen(lists_shop, PriceListImport(), {"lines": [3]}, price_list_id=LIST, file_key=lists_shop.put(dearer))

    after = lists_shop.rows(query)
    changed = {variant for variant, amount in set(after) - set(before)}
    variants = {variant for variant, _ in before}
    assert len(after) == len(before)
    assert len(variants - changed) == 1


@pytest.mark.parametrize(
    ("wish", "context", "message"),
    [
        ({"columns": ["Price EUR"]}, {}, "product-import offers to leave out keys and lines, and no columns"),
        ({"kinds": ["created"], "rules": [{"column": "p", "becomes_empty": True}]}, {}, "and no kinds or rules"),
        ({"keys": ["vase", "mug"]}, {}, "leave_out names vase, and no row of the file is there"),
        ({"lines": [9]}, {}, "leave_out names 9, and no row"),
        ({"lines": [2]}, {"all_or_nothing": True}, "the job is all or nothing"),
    ],
)
def test_what_cannot_be_left_out_of_a_shop_is_said(shop, wish, context, message):
    job = shop.preview(ProductImport(), file_key=shop.put(PRODUCTS), **context)
    with pytest.raises(LeaveOutRefused, match=message):
        ProductImport().check_leave_out(LeaveOut.of(wish), job.id, job.plan, job.files)


def test_an_undo_leaves_a_product_out_with_all_that_belongs_to_it(shop):
    job = shop.done(ProductImport(), file_key=shop.put(PRODUCTS))
    ((variant,),) = shop.rows("SELECT id FROM product_variant WHERE sku = 'mug-l'")
    kept = shop.rows("SELECT id, sku FROM product_variant WHERE sku LIKE 'mug%' ORDER BY sku")

    undo = chosen(shop, Undo(), {"keys": [variant]}, job=job.id, max_rejects=0)

    assert handles(shop) == ["mug"]
    assert shop.rows("SELECT id, sku FROM product_variant ORDER BY sku") == kept
    assert shop.rows("SELECT count(*) FROM product_option_value") == [(2,)]
    assert "left out with the rest of" in shop.read(undo.result.rejects_file_key)
