"""What the preview of a shop's import says of each row is what the log has of it after the run."""

from collections import Counter

import pytest

from batch_jobs.strategies.price_list_import import PriceListImport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.shop.importing.planned_rows import KNOWN_BY, REFERS_TO
from batch_jobs.strategies.tables.changes.logged import LoggedBlocks
from batch_jobs.strategies.tables.changes.planned import ChangesFile
from batch_jobs.strategies.tables.changes.reading import ChangeFilter, read_page
from support.shop import GOLDEN

LIST = "pl_01M85R6TDAY6995AKP489KSWQS"
#: What only the run knows.
TIMES = ("created_at", "updated_at")


def planned(shop, job):
    with ChangesFile(shop.files, job.id) as blocks:
        return read_page(blocks, ChangeFilter(), None, 10**6, 60).entries


def logged(shop, job):
    with shop.target.connect() as connection:
        return read_page(LoggedBlocks(connection, job.id), ChangeFilter(), None, 10**6, 60).entries


def said(entries, columns):
    """What changes say, without ids of new rows and what the database itself gives them."""
    found = Counter()
    for entry in entries:
        if entry.column in TIMES and entry.kind != "removed":
            continue
        if entry.kind == "created":
            if entry.column is None or (entry.column not in REFERS_TO and entry.column in columns[entry.table]):
                found[entry.table, entry.kind, entry.line, entry.column, entry.before, entry.after] += 1
        else:
            key = tuple(entry.key.items())
            after = None if entry.column in REFERS_TO else entry.after
            found[entry.table, entry.kind, entry.line, key, entry.column, entry.before, after] += 1
    return found


def compared(shop, job):
    """What the preview said, and what the log has."""
    plan, log = planned(shop, job), logged(shop, job)
    columns = {}
    for entry in plan:
        columns.setdefault(entry.table, set()).add(entry.column)
    return said(plan, columns), said(log, columns)


FILE = (
    "Product Handle;Product Title;Product Type;Product Tags;Variant Title;Variant SKU;Variant Inventory Quantity;"
    "Price EUR;Option 1 Name;Option 1 Value;Image 1 Url\n"
    "pot;Pot;Kitchen;new,gift;Red;POT-R;1;10;Colour;Red;https://i.example/pot.png\n"
    "mug;Mug;Kitchen;new;One;MUG;3;5;Size;One;https://i.example/pot.png\n"
    "pot;Pot;Kitchen;new,gift;Blue;POT-B;2;11;Colour;Blue;https://i.example/pot.png\n"
)


@pytest.mark.parametrize("chunk_size", [1, 100])
def test_of_new_products_with_what_several_share(shop, chunk_size):
    shop.chunk_size = chunk_size
    job = shop.done(ProductImport(), file_key=shop.put(FILE))
    plan, log = compared(shop, job)
    assert plan == log
    variants = [entry for entry in planned(shop, job) if entry.table == "product_variant" and entry.column == "title"]
    assert {(entry.line, entry.key["sku"], entry.key["product_id"]) for entry in variants} == {
        (2, "POT-R", "pot"), (3, "MUG", "mug"), (4, "POT-B", "pot"),
    }  # fmt: skip
    links = [entry.key for entry in planned(shop, job) if entry.table == "product_images"]
    assert {tuple(key.values()) for key in links} == {
        ("pot", "https://i.example/pot.png"), ("mug", "https://i.example/pot.png"),
    }  # fmt: skip


def test_of_changed_products(medusas_shop):
    job = medusas_shop.done(ProductImport(), file_key=medusas_shop.put(GOLDEN / "products_100_update.csv"))
    plan, log = compared(medusas_shop, job)
    assert {kind for _, kind, *_ in log} == {"created", "updated"}
    assert plan == log


def test_of_what_products_lose(shop):
    shop.done(ProductImport(), file_key=shop.put(FILE))
    file = FILE.replace("pot.png", "jug.png").replace("new,gift", "new").replace("Mug;", "Beaker;")
    file = file.replace(";3;5;", ";4;;").replace("1;10;", "1;9;")
    job = shop.done(ProductImport(), file_key=shop.put(file))
    plan, log = compared(shop, job)
    assert {(table, kind) for table, kind, *_ in log} >= {
        ("product_images", "removed"), ("product_tags", "removed"), ("money_amount", "removed"),
        ("money_amount", "updated"), ("product", "updated"), ("product_variant", "updated"), ("image", "created"),
    }  # fmt: skip
    assert plan == log
    assert {line for table, _, line, *_ in log if table == "product_variant"} == {3}


@pytest.mark.parametrize("mode", ["replace", "merge"])
def test_of_a_price_list_with_what_its_end_removes(lists_shop, mode):
    lists_shop.chunk_size = 7
    file = lists_shop.put(GOLDEN / "price_list_100.csv")
    job = lists_shop.done(PriceListImport(), price_list_id=LIST, file_key=file, mode=mode)
    plan, log = compared(lists_shop, job)
    assert plan == log
    lists_shop.chunk_size = 2
    few = lists_shop.put("SKU;Price EUR\nsku-1-0-0;3\n")
    job = lists_shop.done(PriceListImport(), price_list_id=LIST, file_key=few, mode=mode)
    plan, log = compared(lists_shop, job)
    assert plan == log
    assert any(kind == "removed" for _, kind, *_ in log) == (mode == "replace")


def test_a_new_row_is_named_by_columns_that_its_table_has(shop):
    assert set(REFERS_TO.values()) <= set(KNOWN_BY)
