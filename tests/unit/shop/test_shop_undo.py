"""What an import did to a shop is taken back, product by product."""

import pytest

from batch_jobs.strategies.price_list_import import PriceListImport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.partition_run import OneByOne
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.undo import Undo
from support.shop import GOLDEN

LIST = "pl_01M85R6TDAY6995AKP489KSWQS"


def run(shop, strategy, **context):
    job = shop.preview(strategy, **context)
    hooks.process(strategy, job, OneByOne(1))
    hooks.post_process(strategy, job)
    return job


def undo(shop, job, **context):
    return run(shop, Undo(), job=job.id, **context)


def everything(shop):
    """All rows of the catalogue, ids and times included."""
    return {name: sorted(shop.rows(f'SELECT * FROM "{name}"'), key=repr) for name in tables.metadata.tables}


def test_new_products_are_gone_again(shop):
    before = everything(shop)
    job = run(shop, ProductImport(), file_key=shop.put(GOLDEN / "products_100.csv"))
    after = everything(shop)
    assert after != before

    back = undo(shop, job)

    assert everything(shop) == before
    assert back.result.rejected == 0
    again = undo(shop, back)
    assert everything(shop) == after
    undo(shop, again)
    assert everything(shop) == before


def test_changed_products_are_as_before(medusas_shop):
    before = everything(medusas_shop)
    job = run(medusas_shop, ProductImport(), file_key=medusas_shop.put(GOLDEN / "products_100_update.csv"))
    after = everything(medusas_shop)
    assert after != before

    back = undo(medusas_shop, job)

    assert everything(medusas_shop) == before
    assert back.result.rejected == 0
    undo(medusas_shop, back)
    assert everything(medusas_shop) == after


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_a_price_list_is_as_before(lists_shop, mode):
    before = everything(lists_shop)
    file = lists_shop.put(GOLDEN / "price_list_100.csv")
    job = run(lists_shop, PriceListImport(), price_list_id=LIST, file_key=file, mode=mode)
    after = everything(lists_shop)
    assert after != before

    back = undo(lists_shop, job)

    assert everything(lists_shop) == before
    assert back.result.rejected == 0
    undo(lists_shop, back)
    assert everything(lists_shop) == after
