"""What an import of products or of a price list did to a shop is taken back, each product as a whole."""

import pytest
from sqlalchemy import text

from batch_jobs.strategies.price_list_import import PriceListImport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.undo import Undo
from support.change_log import logged
from support.shop import Shop

TEMPLATE = ProductImport().build_template()


def changed_template() -> str:
    """The template with other titles and prices, one tag less, and a product more."""
    lines = TEMPLATE.splitlines()
    return "\n".join([lines[0], *(line.replace("0", "1", 1).replace("1", "2", 2) for line in lines[1:])])


@pytest.mark.parametrize("file", [TEMPLATE, changed_template()])
def test_an_import_of_products_is_taken_back_and_made_again(shop: Shop, file: str):
    before = shop.everything()
    job = shop.done(ProductImport(), fileKey=shop.put(file))
    after = shop.everything()
    assert after != before

    undo = shop.done(Undo(), job=job.id)
    assert undo.result.rejected == 0
    assert shop.everything() == before

    again = shop.done(Undo(), job=undo.id)
    assert again.result.rejected == 0
    assert shop.everything() == after


def test_an_update_of_products_is_taken_back(shop: Shop):
    shop.done(ProductImport(), fileKey=shop.put(TEMPLATE))
    before = shop.everything()
    job = shop.done(ProductImport(), fileKey=shop.put(changed_template()))
    assert shop.everything() != before
    assert "updated" in {kind for kind, _, _ in logged(shop.target, job.id)}

    undo = shop.done(Undo(), job=job.id)

    assert undo.result.rejected == 0
    assert shop.everything() == before


def test_a_product_that_somebody_changed_since_stays_whole(shop: Shop):
    before = shop.everything()
    job = shop.done(ProductImport(), fileKey=shop.put(TEMPLATE))
    with shop.target.begin() as connection:
        product = connection.scalar(text("SELECT min(product_id) FROM product_variant WHERE sku IS NOT NULL"))
        edit = "UPDATE product SET title = 'mine' WHERE id = :id"
        connection.execute(text(edit), {"id": product})
    with_edit = shop.everything()

    undo = shop.done(Undo(), job=job.id)

    assert undo.result.rejected > 0
    now = shop.everything()
    products = {row[0] for row in now["product"]}
    assert products - {row[0] for row in before["product"]} == {product}
    for name in ("product_variant", "product_option", "product_option_value", "product_tags", "product_images"):
        columns = list(tables.metadata.tables[name].columns.keys())
        if "product_id" in columns:
            at = columns.index("product_id")
            of_it = [{row for row in state[name] if row[at] == product} for state in (with_edit, now)]
            assert of_it[0] == of_it[1]


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_an_import_of_a_price_list_is_taken_back(shop: Shop, mode: str):
    shop.done(ProductImport(), fileKey=shop.put(TEMPLATE))
    with shop.target.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO price_list (id, name, description, type, status) VALUES ('pl', 'a', 'b', 'sale', 'active')"
            )
        )
    file = PriceListImport().build_template()
    shop.done(PriceListImport(), fileKey=shop.put(file), price_list_id="pl")
    before = shop.everything()
    first = "\n".join([file.splitlines()[0], file.splitlines()[1].replace("0", "7")])
    job = shop.done(
        PriceListImport(),
        fileKey=shop.put(first),
        price_list_id="pl",
        mode=mode,
    )
    assert shop.everything() != before

    undo = shop.done(Undo(), job=job.id)

    assert undo.result.rejected == 0
    assert shop.everything() == before


def test_without_the_log_nothing_is_kept(shop: Shop):
    shop.done(ProductImport(), fileKey=shop.put(TEMPLATE), keep_changes=False)

    assert logged(shop.target) == []
