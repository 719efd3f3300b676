"""The files that a real Medusa imported, imported here: the tables must be those that it left."""

import json

import pytest

from batch_jobs.strategies.product_import import ProductImport
from support.shop import GOLDEN, load_golden, picture


def medusa_said(name: str) -> dict[str, object]:
    return json.loads((GOLDEN / f"batch_job_{name}.json").read_text())["result"]


def test_the_golden_products_give_medusas_tables(shop, golden):
    result = shop.run(ProductImport(), fileKey=shop.put(GOLDEN / "products_100.csv"))

    load_golden(golden, "products_100.tables")
    assert shop.picture() == picture(golden)
    medusa = medusa_said("product_import")
    assert (result.count, result.advancement_count) == (medusa["count"], medusa["advancement_count"])
    assert medusa["stat_descriptors"][0] in [entry.model_dump() for entry in result.stat_descriptors]


def test_the_golden_products_again_are_all_unchanged(shop):
    shop.run(ProductImport(), file_key=shop.put(GOLDEN / "products_100.csv"))
    before = shop.rows("SELECT id, updated_at FROM product UNION ALL SELECT id, updated_at FROM product_variant")
    result = shop.run(ProductImport(), file_key=shop.put(GOLDEN / "products_100.csv"))

    assert (result.unchanged, result.created, result.updated, result.rejected) == (404, 0, 0, 0)
    after = shop.rows("SELECT id, updated_at FROM product UNION ALL SELECT id, updated_at FROM product_variant")
    assert sorted(after) == sorted(before)


@pytest.mark.parametrize("match", ["handle", "id"])
def test_the_golden_update_gives_medusas_tables(medusas_shop, golden, match):
    shop = medusas_shop
    result = shop.run(ProductImport(), file_key=shop.put(GOLDEN / "products_100_update.csv"), match=match)

    load_golden(golden, "products_100_update.tables")
    assert shop.picture() == picture(golden)
    assert result.count == medusa_said("product_update")["count"]
    assert result.rejected == 0
