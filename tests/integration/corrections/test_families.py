"""Corrections in shop imports, imports in pandas and strategies of one's own; several files, and one after another."""

import csv
import json
from typing import Any

import pytest
from sqlalchemy import text

from batch_jobs.flows.errors import CorrectionRefused
from batch_jobs.flows.jobs.given_corrections import Corrected
from batch_jobs.flows.workspace import Workspace
from support.phases import finished, previewed, put, waiting
from support.shop import base, lists

PRICE_LIST = "pl_01M85R6TDAY6995AKP489KSWQS"  # of the golden files
PRODUCTS = (
    "Product Handle;Product Title;Variant Title;Variant SKU;Price EUR;Option 1 Name;Option 1 Value;"
    "Variant Inventory Quantity\n"
    "mug;Mug;Blue;MUG-B;12.50;Colour;Blue;4\n"
    "mug;Mug;Red;MUG-R;dear;Colour;Red;4\n"
    "pot;Pot;One;POT;39;Size;One;4\n"
    "cup;Cup;One;CUP;cheap;Size;One;4\n"
)


def prices(workspace: Workspace) -> list[tuple[Any, ...]]:
    query = (
        "SELECT v.sku, m.amount FROM product_variant v JOIN product_variant_money_amount k ON k.variant_id = v.id "
        "JOIN money_amount m ON m.id = k.money_amount_id ORDER BY v.sku"
    )
    with workspace.target.connect() as connection:
        return [(sku, int(amount)) for sku, amount in connection.execute(text(query))]


@pytest.mark.parametrize("layout", ["csv", "jsonl"])
def test_a_products_variants_go_in_together_once_one_of_them_is_corrected(workspace: Workspace, layout: str):
    base(workspace.target)
    content, name = PRODUCTS, "products.csv"
    if layout == "jsonl":
        content = "".join(json.dumps(row) + "\n" for row in csv.DictReader(PRODUCTS.splitlines(), delimiter=";"))
        name = "products.jsonl"
    lines = {"csv": (2, 3, 5), "jsonl": (1, 2, 4)}[layout]
    job = waiting(workspace, "product-import", file_key=put(workspace, content, name))
    assert [row.line for row in workspace.job_rejects.page(job).rows] == list(lines)
    given = [Corrected(lines[1], {"Price EUR": "13.50"})]
    assert not workspace.job_corrections.check(job, given)[0].bad

    done = finished(workspace, job)
    assert prices(workspace) == [("POT", 3900)]
    after = workspace.job_corrections.correct(done, given, created_by="bob")
    finished(workspace, after)

    assert prices(workspace) == [("MUG-B", 1250), ("MUG-R", 1350), ("POT", 3900)]


def test_the_whole_product_file_goes_in_with_its_corrections(workspace: Workspace):
    base(workspace.target)
    job = waiting(workspace, "product-import", file_key=put(workspace, PRODUCTS, "products.csv"))
    still = workspace.job_corrections.check(
        job, [Corrected(3, {"Price EUR": "much"}), Corrected(5, {"Price EUR": "5"})]
    )
    assert [sorted(row.bad) for row in still] == [["Price EUR"], []]

    after = workspace.job_corrections.correct(
        job, [Corrected(3, {"Price EUR": "13.50"}), Corrected(5, {"Price EUR": "5"})], created_by="bob"
    )
    finished(workspace, after)

    assert prices(workspace) == [("CUP", 500), ("MUG-B", 1250), ("MUG-R", 1350), ("POT", 3900)]


def test_an_import_in_pandas_keeps_the_types_that_the_whole_file_has(workspace: Workspace):
    job = waiting(
        workspace, "doubled", file_key=put(workspace, "code,price\n007,1.5\n008,500\nC,2.25\n009,300\n", "goods.csv")
    )
    assert [(row.line, row.bad) for row in workspace.job_rejects.page(job).rows] == [
        (3, {"price": ["costs too much"]}),
        (5, {"price": ["costs too much"]}),
    ]
    checked = workspace.job_corrections.check(job, [Corrected(3, {"price": "5"}), Corrected(5, {"price": "400"})])
    assert [sorted(row.bad) for row in checked] == [[], ["price"]]

    done = finished(workspace, job)
    after = finished(workspace, workspace.job_corrections.correct(done, [Corrected(3, {"price": "5"})]))

    assert (after.result.created, after.result.rejected) == (1, 0)
    with workspace.target.connect() as connection:
        found = connection.execute(text("SELECT code, CAST(price AS float) FROM doubled ORDER BY code"))
        assert [tuple(row) for row in found] == [("007", 3.0), ("008", 10.0), ("C", 4.5)]


def test_a_strategy_of_ones_own_gets_corrected_frames(workspace: Workspace):
    key = put(workspace, "code,price\nA,1\nB,500\n", "goods.csv")
    job = waiting(workspace, "looked", file_key=key)
    given = [Corrected(3, {"price": "5"})]
    assert [row.bad for row in workspace.job_corrections.check(job, given)] == [{}]

    after = workspace.job_corrections.correct(job, given)
    assert finished(workspace, after).result.created == 2

    other = waiting(workspace, "unread", file_key=key)
    assert [row.bad for row in workspace.job_corrections.check(other, given)] == [{}]
    assert [row.bad for row in workspace.job_corrections.check(other, [Corrected(3, {"price": "600"})])] == [
        {"price": ["costs too much"]}
    ]
    with pytest.raises(CorrectionRefused, match="unread takes no corrections"):
        workspace.job_corrections.correct(other, given)


def test_of_several_files_each_line_is_of_its_own_one_and_corrections_add_up(workspace: Workspace):
    with workspace.target.begin() as connection:
        connection.execute(text("CREATE TABLE goods (code varchar(20) PRIMARY KEY, price integer)"))
    keys = [
        put(workspace, "code,price\nA,dear\n", "one.csv"),
        put(workspace, "code,price\nB,dear\nC,cheap\n", "two.csv"),
    ]
    job = waiting(workspace, "table-import", file_key=keys, table="goods", key=["code"], mode="upsert")
    with pytest.raises(CorrectionRefused, match="name the file with each line"):
        workspace.job_corrections.correct(job, [Corrected(2, {"price": "1"})])

    second = workspace.job_corrections.correct(job, [Corrected(2, {"price": "2"}, "two.csv")], created_by="bob")
    second = previewed(workspace, second)
    assert [(row.line, row.file) for row in workspace.job_rejects.page(second).rows] == [(2, keys[0]), (3, keys[1])]
    third = workspace.job_corrections.correct(second, [Corrected(2, {"price": "1"}, keys[0])], created_by="bob")
    done = finished(workspace, third)
    last = workspace.job_corrections.correct(done, [Corrected(3, {"price": "3"}, keys[1])], created_by="bob")
    finished(workspace, last)

    with workspace.target.connect() as connection:
        found = connection.execute(text("SELECT code, price FROM goods ORDER BY code"))
        assert [tuple(row) for row in found] == [("A", 1), ("B", 2), ("C", 3)]


def test_a_file_that_is_another_one_by_now_is_not_corrected_by_line(workspace: Workspace):
    with workspace.target.begin() as connection:
        connection.execute(text("CREATE TABLE goods (code varchar(20) PRIMARY KEY, price integer)"))
    key = put(workspace, "code,price\nA,dear\n", "one.csv")
    job = waiting(workspace, "table-import", file_key=key, table="goods", key=["code"], mode="upsert")
    after = workspace.job_corrections.correct(job, [Corrected(2, {"price": "1"})])
    with workspace.files.writing(key) as stream:
        stream.write(b"code,price\nZ,9\nA,dear\n")

    failed = previewed(workspace, after)

    assert failed.status == "failed"
    assert "has changed since the preview" in (workspace.service.events(after.id)[-1].why or "")


PRICES = (
    "SKU;Price EUR;Price USD\nsku-1-0-0;10;\nsku-1-1-0;dear;\nsku-1-2-0;5;\nsku-1-2-0;;cheap\nnowhere;7;\n"  # lines 2-6
)


def prices_of_list(workspace: Workspace) -> list[tuple[str, str, int]]:
    query = (
        "SELECT v.sku, m.currency_code, m.amount FROM money_amount m "
        "JOIN product_variant_money_amount k ON k.money_amount_id = m.id JOIN product_variant v ON v.id = k.variant_id "
        f"WHERE m.price_list_id = '{PRICE_LIST}' ORDER BY v.sku, m.currency_code"
    )
    with workspace.target.connect() as connection:
        return [(sku, currency, int(amount)) for sku, currency, amount in connection.execute(text(query))]


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_corrected_prices_go_into_a_list_that_keeps_those_of_the_rows_that_were_right(workspace: Workspace, mode: str):
    lists(workspace.target)
    key = put(workspace, PRICES, "prices.csv")
    job = waiting(workspace, "price-list-import", file_key=key, price_list_id=PRICE_LIST, mode=mode)
    assert [row.line for row in workspace.job_rejects.page(job).rows] == [3, 4, 5, 6]
    given = [Corrected(3, {"Price EUR": "6"}), Corrected(5, {"Price USD": "7"}), Corrected(6, {"SKU": "elsewhere"})]
    checked = {row.line: sorted(row.bad) for row in workspace.job_corrections.check(job, given)}
    assert (checked[3], checked[6]) == ([], ["SKU"])

    done = finished(workspace, job)
    assert ("sku-1-0-0", "eur", 1000) in prices_of_list(workspace)
    before = prices_of_list(workspace)
    after = finished(workspace, workspace.job_corrections.correct(done, given, created_by="bob"))

    assert after.result.rejected == 1
    added = [("sku-1-1-0", "eur", 600), ("sku-1-2-0", "eur", 500), ("sku-1-2-0", "usd", 700)]
    assert prices_of_list(workspace) == sorted([*before, *added])


def test_a_list_is_replaced_by_the_whole_file_with_its_corrections(workspace: Workspace):
    lists(workspace.target)
    key = put(workspace, PRICES, "prices.csv")
    job = waiting(workspace, "price-list-import", file_key=key, price_list_id=PRICE_LIST)
    given = [Corrected(3, {"Price EUR": "6"}), Corrected(5, {"Price USD": "7"}), Corrected(6, {"SKU": "sku-1-1-1"})]

    after = finished(workspace, workspace.job_corrections.correct(job, given, created_by="bob"))

    assert after.result.rejected == 0
    assert prices_of_list(workspace) == [
        ("sku-1-0-0", "eur", 1000), ("sku-1-1-0", "eur", 600), ("sku-1-1-1", "eur", 700),
        ("sku-1-2-0", "eur", 500), ("sku-1-2-0", "usd", 700),
    ]  # fmt: skip
