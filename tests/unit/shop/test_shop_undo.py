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
