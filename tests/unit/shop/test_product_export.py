"""The file that a real Medusa exported, from the same tables; and what exports do on their own."""

import csv
import json

import pytest

from batch_jobs.strategies.product_export import ProductExport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.tables.formats.format import open_reader
from batch_jobs.strategies.tables.values.formulas import restore_cell
from support.shop import GOLDEN

#: Columns whose order a Medusa database does not keep.
UNORDERED = ("Option", "Image")


def comparable(row):
    """A row without what Medusa writes wrong (see docs/medusa.md), and with sets where there is no order."""
    plain = {name: restore_cell(cell) for name, cell in row.items() if not name.startswith(("Price USD", *UNORDERED))}
    plain |= {name: "" for name in plain if name == "Sales Channel 1 Id"}
    options = {(row[f"Option {number} Name"], row[f"Option {number} Value"]) for number in (1, 2)}
    return plain, options, {cell for name, cell in row.items() if name.startswith("Image")}


def test_the_golden_shop_is_exported_as_medusa_exports_it(medusas_shop):
    result = medusas_shop.run(ProductExport())

    with (GOLDEN / "products_100.export.csv").open(newline="") as file:
        medusa = list(csv.DictReader(file, delimiter=";"))
    ours = medusas_shop.table(result)
    assert list(ours[0]) == list(medusa[0])
    by_variant = {row["Variant Id"]: comparable(row) for row in ours}
    assert by_variant == {row["Variant Id"]: comparable(row) for row in medusa}
    said = json.loads((GOLDEN / "batch_job_product_export.json").read_text())["result"]
    assert (result.count, result.advancement_count, result.progress) == (said["count"], said["advancement_count"], 1.0)
    assert [entry.model_dump() for entry in result.stat_descriptors] == said["stat_descriptors"]


def test_a_price_is_exported_only_where_it_is_the_variants_own(medusas_shop):
    """Medusa writes a region's price as the currency's, too; an import of that changes prices."""
    own = dict(
        medusas_shop.rows(
            "SELECT link.variant_id, amount FROM money_amount m JOIN product_variant_money_amount link "
            "ON link.money_amount_id = m.id WHERE currency_code = 'usd' AND region_id IS NULL"
        )
    )
    for row in medusas_shop.table(medusas_shop.run(ProductExport())):
        amount = own.get(row["Variant Id"])
        assert row["Price USD"] == ("" if amount is None else f"{amount / 100:.2f}".rstrip("0").rstrip("."))


def test_the_variants_of_a_product_are_together_in_their_order(medusas_shop):
    rows = medusas_shop.table(medusas_shop.run(ProductExport()))
    ranks = dict(medusas_shop.rows("SELECT id, variant_rank FROM product_variant"))
    seen = []
    for row in rows:
        if not seen or seen[-1][0] != row["Product Id"]:
            seen.append((row["Product Id"], []))
        seen[-1][1].append(ranks[row["Variant Id"]])
    assert len({product for product, _ in seen}) == len(seen) == 100
    assert all(ranks == sorted(ranks) for _, ranks in seen)


def test_S40_export_then_import_reports_all_unchanged_and_leaves_every_table_identical(medusas_shop):
    before = everything(medusas_shop)
    exported = medusas_shop.run(ProductExport())
    for match in ("handle", "id"):
        result = medusas_shop.run(ProductImport(), file_key=exported.file_key, match=match)
        assert (result.created, result.updated, result.unchanged, result.rejected) == (0, 0, 404, 0)
    assert everything(medusas_shop) == before


def everything(shop):
    names = {path.stem for path in (GOLDEN / "products_100.tables").glob("*.csv")}
    return {name: sorted(map(repr, shop.rows(f"SELECT * FROM {name}"))) for name in names}


@pytest.mark.parametrize("file_format", ["tsv", "jsonl", "parquet", "xlsx"])
def test_other_formats_hold_the_same_products(medusas_shop, file_format):
    result = medusas_shop.run(ProductExport(), format=file_format)
    assert result.file_key.endswith(file_format)
    assert (result.count, result.file_size > 1000) == (100, True)


def exported_handles(shop, **context):
    rows = shop.table(shop.run(ProductExport(), **context))
    return list(dict.fromkeys(row["Product Handle"] for row in rows))


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        ({"status": ["draft", "proposed"]}, "status IN ('draft', 'proposed')"),
        ({"handle": "p-1-7"}, "handle = 'p-1-7'"),
        ({"q": "CANDLE 1"}, "lower(title) LIKE '%candle 1%'"),
        ({"q": "sku-1-7-0"}, "handle = 'p-1-7'"),
        ({"q": "100%"}, "1 = 0"),
        ({"is_giftcard": "true"}, "1 = 0"),
        ({"created_at": {"lt": "2026-11-24T03:00:00Z"}}, "1 = 0"),
        ({"created_at": {"gte": "2026-11-24T03:00:00Z", "lt": "2026-11-25"}}, "1 = 1"),
        ({"title": "it's"}, "1 = 0"),
        ({"collection_id": []}, "1 = 0"),
    ],
)
def test_filters_choose_products(medusas_shop, filters, condition):
    expected = {handle for (handle,) in medusas_shop.rows(f"SELECT handle FROM product WHERE {condition}")}
    assert set(exported_handles(medusas_shop, filterable_fields=filters)) == expected


def test_filters_by_what_products_are_linked_to(medusas_shop):
    ((tag, channel),) = medusas_shop.rows(
        "SELECT (SELECT id FROM product_tag WHERE value = 'sale'), (SELECT id FROM sales_channel WHERE name = 'Web')"
    )
    expected = medusas_shop.rows(
        f"SELECT handle FROM product WHERE id IN (SELECT product_id FROM product_tags WHERE product_tag_id = '{tag}') "
        f"AND id IN (SELECT product_id FROM product_sales_channel WHERE sales_channel_id = '{channel}')"
    )
    found = exported_handles(medusas_shop, filterable_fields={"tags": [tag], "sales_channel_id": [channel]})
    assert sorted(found) == sorted(handle for (handle,) in expected)
    assert found


def test_order_offset_and_batch_size_mean_what_they_say(medusas_shop):
    handles = sorted(handle for (handle,) in medusas_shop.rows("SELECT handle FROM product"))
    assert exported_handles(medusas_shop, order="handle", offset=10, batch_size=5) == handles[10:15]
    assert exported_handles(medusas_shop, order="-handle", batch_size=3) == handles[:-4:-1]
    # Medusa never ends where this is more than there are products
    assert (
        exported_handles(medusas_shop, list_config={"skip": 98, "order": {"handle": "ASC"}}, batch_size=500)
        == (handles[98:])
    )
    assert exported_handles(medusas_shop, batch_size=0) == []


def test_what_medusa_takes_apart_is_put_into_list_config(shop):
    context = ProductExport.Context(limit=20, offset=3, order="-title", fields=["id"], expand=["tags"])
    config = ProductExport().prepare(context).list_config
    assert config.model_dump() == {
        "skip": 3, "take": 20, "order": {"title": "DESC"}, "select": ["id"], "relations": ["tags"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"filterable_fields": {"colour": "red"}}, "filterable_fields has no colour; there are: id, title"),
        ({"filterable_fields": {"created_at": "yesterday"}}, "needs lt, gt, lte, gte for created_at"),
        ({"filterable_fields": {"created_at": {"lt": "yesterday"}}}, "'yesterday' where a time belongs"),
        ({"filterable_fields": {"status": [{}]}}, "where a text belongs"),
        ({"order": "colour"}, "order has no colour; there are: created_at"),
    ],
)
def test_filters_and_orders_that_there_are_not_are_refused_at_create(context, message):
    with pytest.raises(ContextRefused, match=message):
        ProductExport().prepare(ProductExport.Context(**context))


def test_an_empty_shop_gives_a_file_with_only_the_header(shop):
    result = shop.run(ProductExport())
    assert (result.count, result.progress) == (0, 1.0)
    assert shop.read(result.file_key).startswith("Product Id;Product Handle;Product Title;")
    assert shop.table(result) == []


@pytest.mark.parametrize("words", ["École", "école", "ÉCOLE", "öl"])
def test_R13_words_are_found_in_any_case_beyond_ascii_too(shop, words):
    shop.rows("INSERT INTO product (id, title, handle) VALUES ('prod_1', 'École d’ÖL', 'ecole'), ('prod_2', 'x', 'x')")
    shop.rows(
        "INSERT INTO product_variant (id, title, product_id, inventory_quantity) "
        "VALUES ('variant_1', 'One', 'prod_1', 1), ('variant_2', 'One', 'prod_2', 1)"
    )
    assert exported_handles(shop, filterable_fields={"q": words}) == ["ecole"]


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"filterable_fields": {"status": "publishd"}}, 'no status "publishd"; there are: draft, proposed, published'),
        ({"filterable_fields": {"status": ["draft", None]}}, "null where a text belongs"),
        ({"filterable_fields": {"handle": True}}, "has true where a text belongs"),
        ({"filterable_fields": {"handle": "\ud800"}}, "where a text belongs"),
        ({"filterable_fields": {"q": ["mug"]}}, "where a text belongs"),
        ({"filterable_fields": {"q": "a\0"}}, "where a text belongs"),
        ({"filterable_fields": {"created_at": {"lt": True}}}, "True where a time belongs"),
        ({"filterable_fields": {"created_at": {"lt": "0001-01-01T00:00+14:00"}}}, "where a time belongs"),
        ({"fields": ["id", "colour"]}, "fields has no colour; there are: id, title"),
        ({"fields": "id, colour"}, "fields has no colour; there are: id, title"),
        ({"expand": ["variants.prices", "vendor"]}, "expand has no vendor; there are: variants, options"),
        ({"list_config": {"select": ["colour"]}}, "fields has no colour"),
        ({"list_config": {"relations": ["vendor"]}}, "expand has no vendor"),
    ],
)
def test_R14_what_cannot_be_meant_is_refused_at_create(context, message):
    with pytest.raises(ContextRefused, match=message):
        ProductExport().prepare(ProductExport.Context(**context))


def test_R14_a_number_is_the_text_of_its_digits(shop):
    shop.rows("INSERT INTO product (id, title, handle) VALUES ('prod_1', '7', '2024')")
    for filters in ({"handle": 2024}, {"title": [7, "x"]}, {"q": 2024}):
        assert shop.run(ProductExport(), filterable_fields=filters).count == (0 if "q" in filters else 1)


@pytest.mark.parametrize("file_format", ["tsv", "jsonl", "parquet", "xlsx"])
def test_R15_other_formats_give_an_import_the_same_headers_and_cells(medusas_shop, file_format):
    reference = cells_read(medusas_shop, "csv")
    assert cells_read(medusas_shop, file_format) == reference


def cells_read(shop, file_format):
    """An exported file as an import reads it; formulas restored, empty cells as nulls."""
    key = shop.run(ProductExport(), format=file_format).file_key
    reader = open_reader(lambda: shop.files.open(key), key)
    rows = [row for batch in reader.batches() for row in batch.table.to_pylist()]
    return reader.columns, [{name: restore_cell(cell or "") for name, cell in row.items()} for row in rows]
