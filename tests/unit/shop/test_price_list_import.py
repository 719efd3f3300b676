"""Price lists: at the end the list holds exactly the file's prices, and what is wrong is told with its line."""

import json
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_jobs.strategies.price_list_import import PriceListImport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import ContextRefused, JobRefused
from support.shop import GOLDEN, load_golden, picture

LIST = "pl_01M85R6TDAY6995AKP489KSWQS"
PRICES = ("money_amount", "price_list", "product_variant_money_amount")
CATALOGUE = (
    "product_type", "product_tag", "image", "product", "product_images", "product_tags", "product_option",
    "product_variant", "product_option_value", "product_sales_channel", "product_shipping_profile",
)  # fmt: skip


@pytest.fixture
def lists(lists_shop):
    return lists_shop


def prices_of_list(shop):
    return sorted(
        shop.rows(
            "SELECT v.sku, m.currency_code, r.name, m.amount FROM money_amount m "
            "JOIN product_variant_money_amount k ON k.money_amount_id = m.id "
            "JOIN product_variant v ON v.id = k.variant_id LEFT JOIN region r ON r.id = m.region_id "
            f"WHERE m.price_list_id = '{LIST}'"
        ),
        key=repr,
    )


def load(shop, content, **context):
    return shop.run(PriceListImport(), price_list_id=LIST, file_key=shop.put(content), **context)


def test_the_golden_file_gives_medusas_tables_but_for_its_orphans(lists, golden):
    result = load(lists, GOLDEN / "price_list_100.csv")

    load_golden(golden, "products_100_update.tables", ["region", *CATALOGUE])
    load_golden(golden, "price_list_after.tables", PRICES)
    medusa = picture(golden)
    assert lists.picture()["price"] == medusa["price"]
    assert sum(medusa["link without price"].values()) == 1
    assert sum(lists.picture()["link without price"].values()) == 0
    said = json.loads((GOLDEN / "batch_job_price_list_import.json").read_text())["result"]
    assert (result.count, result.advancement_count) == (said["count"], said["advancement_count"])
    assert said["stat_descriptors"][0] in [entry.model_dump() for entry in result.stat_descriptors]


def test_the_same_file_again_changes_nothing(lists):
    load(lists, GOLDEN / "price_list_100.csv")
    before = lists.rows("SELECT * FROM money_amount ORDER BY id")
    result = load(lists, GOLDEN / "price_list_100.csv")
    assert (result.created, result.updated, result.rejected) == (0, 0, 0)
    assert lists.rows("SELECT * FROM money_amount ORDER BY id") == before


def test_prices_are_replaced_added_and_taken_away(lists):
    load(lists, "SKU;Price EUR;Price USD\nsku-1-0-0;10;20\nsku-1-1-0;5;\n")
    result = load(lists, "SKU;Price EUR;Price NA [USD]\nsku-1-0-0;11;30\nsku-1-2-0;0;\n")
    assert prices_of_list(lists) == [
        ("sku-1-0-0", "eur", None, 1100),
        ("sku-1-0-0", "usd", "NA", 3000),
        ("sku-1-2-0", "eur", None, 0),
    ]
    assert (result.created, result.updated) == (1, 1)
    assert lists.picture()["link without price"] == {}


def test_with_merge_other_variants_keep_their_prices(lists):
    load(lists, "SKU;Price EUR\nsku-1-0-0;10\nsku-1-1-0;5\n")
    load(lists, "SKU;Price EUR\nsku-1-0-0;11\n", mode="merge")
    assert prices_of_list(lists) == [("sku-1-0-0", "eur", None, 1100), ("sku-1-1-0", "eur", None, 500)]


def test_the_variants_own_prices_stay(lists):
    own = "SELECT * FROM money_amount WHERE price_list_id IS NULL ORDER BY id"
    before = lists.rows(own)
    load(lists, "SKU;Price EUR\nsku-1-0-0;10\n")
    assert lists.rows(own) == before


def test_everything_that_is_wrong_is_told_and_the_rest_goes_in(lists):
    ((variant,),) = lists.rows("SELECT id FROM product_variant WHERE sku = 'sku-1-2-0'")
    content = (
        "Product Variant ID;SKU;Price EUR;Price XXX\n"
        ";sku-1-0-0;10;\n;nowhere;10;\nvariant_nope;sku-1-1-0;10;\n;;10;\n;sku-1-1-0;a;\n;sku-1-1-1;;5\n"
        f"{variant};;7;\n;sku-1-2-0;8;\n"
    )
    result = load(lists, content)
    assert [(int(row["reject_line"]), row["reject_reason"]) for row in lists.rejects(result)] == [
        (3, "SKU: there is no variant with the SKU nowhere"),
        (4, "Product Variant ID: there is no variant with the id variant_nope"),
        (5, "SKU: is empty; the row needs an id or a SKU"),
        (6, "Price EUR: 'a' is not a price"),
        (7, "Price XXX: the shop has no currency xxx"),
        (8, "another row of this variant is refused"),
        (9, "Price EUR: this variant's price is already on line 8"),
    ]
    assert prices_of_list(lists) == [("sku-1-0-0", "eur", None, 1000)]


def test_a_variant_on_two_lines_has_the_prices_of_both(lists):
    load(lists, "SKU;Price EUR;Price USD\nsku-1-0-0;10;\nsku-1-1-0;1;1\nsku-1-0-0;;20\n")
    assert prices_of_list(lists)[:2] == [("sku-1-0-0", "eur", None, 1000), ("sku-1-0-0", "usd", None, 2000)]


def test_the_preview_tells_what_will_happen_and_writes_nothing(lists):
    load(lists, "SKU;Price EUR\nsku-1-0-0;10\nsku-1-1-0;5\nsku-1-2-0;6\n")
    before = lists.rows("SELECT * FROM money_amount ORDER BY id")
    job = lists.preview(
        PriceListImport(), price_list_id=LIST, file_key=lists.put("SKU;Price EUR\nsku-1-0-0;10\nsku-1-1-0;6\n")
    )
    told = {entry.key: entry.message for entry in job.result.stat_descriptors}
    assert told["price-list-import-variants"].startswith("0 variants get prices in the list, 1 get others, 1 are as")
    assert told["price-list-import-remove"] == "1 prices of variants that are not in the file"
    assert lists.rows("SELECT * FROM money_amount ORDER BY id") == before


def test_a_file_with_a_header_only_empties_the_list(lists):
    load(lists, "SKU;Price EUR\nsku-1-0-0;10\n")
    load(lists, "SKU;Price EUR\n")
    assert prices_of_list(lists) == []


def test_what_cannot_be_meant_is_refused(lists):
    with pytest.raises(ContextRefused, match="needs a price_list_id"):
        lists.job(PriceListImport(), price_list_id=" ", fileKey="x")
    with pytest.raises(JobRefused, match="there is no price list with the id pl_nope"):
        lists.preview(PriceListImport(), price_list_id="pl_nope", file_key=lists.put("SKU;Price EUR\n"))
    with pytest.raises(JobRefused, match="it needs a column Product Variant ID or SKU, and one of prices"):
        load(lists, "SKU\nx\n")
    with pytest.raises(JobRefused, match="a price list's file has no column price eur; did you mean Price EUR"):
        load(lists, "SKU;price eur\nx;1\n")


def test_the_template_imports_as_it_is_into_the_shop_of_product_imports_template(lists):
    lists.run(ProductImport(), file_key=lists.put(ProductImport().build_template()))
    result = load(lists, PriceListImport().build_template())
    assert (result.rejected, result.created) == (0, 2)
    assert len(prices_of_list(lists)) == 4


def messages(job):
    return {entry.key: entry.message for entry in job.result.stat_descriptors}


BOTH = "SKU;Price EUR;Price USD\nsku-1-0-0;18;20\nsku-1-1-0;17;\n"


def test_R6_a_refused_row_changes_nothing(lists):
    load(lists, BOTH)
    before = prices_of_list(lists)
    bad = "SKU;Price EUR;Price USD\nsku-1-0-0;15,50;3\nsku-1-1-0;16,50;\n"
    job = lists.preview(PriceListImport(), price_list_id=LIST, file_key=lists.put(bad))
    assert messages(job)["price-list-import-remove"] == (
        "no prices of variants that are not in the file: no row of the file goes in"
    )
    result = load(lists, bad)
    assert (result.updated, result.rejected) == (0, 2)
    assert prices_of_list(lists) == before


@pytest.mark.parametrize(
    "row", ["sku-1-0-0;15,50;3", "sku-1-0-0;15;3;4", "sku-1-0-0;19.999;", "sku-1-0-0;;x", "sku-1-0-0;-1;"]
)
def test_R6_the_variant_of_a_refused_row_keeps_its_prices_and_the_others_go(lists, row):
    load(lists, f"{BOTH}sku-1-2-0;5;\n")
    content = f"SKU;Price EUR;Price USD\n{row}\nsku-1-1-0;16;\n"
    job = lists.preview(PriceListImport(), price_list_id=LIST, file_key=lists.put(content))
    assert messages(job)["price-list-import-remove"] == "1 prices of variants that are not in the file"
    load(lists, content)
    assert prices_of_list(lists) == [
        ("sku-1-0-0", "eur", None, 1800),
        ("sku-1-0-0", "usd", None, 2000),
        ("sku-1-1-0", "eur", None, 1600),
    ]


def test_R6_of_names_that_nobody_has_none_empties_the_list(lists):
    load(lists, BOTH)
    before = prices_of_list(lists)
    load(lists, "SKU;Price EUR\nSKU-1-0-0;15\nSKU-1-1-0;16\n")
    assert prices_of_list(lists) == before


def test_R6b_a_corrected_rejects_file_adds_to_what_is_there(lists):
    load(lists, BOTH)
    result = load(lists, "SKU;Price EUR;Price USD\nsku-1-0-0;15,50;21\nsku-1-1-0;16;\n")
    corrected = lists.read(result.rejects_file_key).replace('"15,50"', "15.50")
    job = lists.preview(PriceListImport(), price_list_id=LIST, file_key=lists.put(corrected))
    assert messages(job)["price-list-import-remove"] == (
        "no prices of variants that are not in the file: this is a rejects file, which adds to the list"
    )
    load(lists, corrected)
    assert prices_of_list(lists) == [
        ("sku-1-0-0", "eur", None, 1550),
        ("sku-1-0-0", "usd", None, 2100),
        ("sku-1-1-0", "eur", None, 1600),
    ]


def with_tier(shop):
    load(shop, BOTH)
    shop.rows(
        "INSERT INTO money_amount (id, currency_code, amount, min_quantity, price_list_id) "
        f"VALUES ('ma_tier', 'eur', 1500, 10, '{LIST}')"
    )
    shop.rows(
        "INSERT INTO product_variant_money_amount (id, money_amount_id, variant_id) "
        "SELECT 'pvma_tier', 'ma_tier', id FROM product_variant WHERE sku = 'sku-1-0-0'"
    )


def test_R7_with_merge_what_the_file_does_not_name_stays(lists):
    with_tier(lists)
    job = lists.preview(
        PriceListImport(), price_list_id=LIST, mode="merge", file_key=lists.put("SKU;Price EUR\nsku-1-0-0;19\n")
    )
    assert messages(job)["price-list-import-remove"].startswith("no prices")
    assert [(change["column"], change["before"], change["after"]) for change in job.plan["sample"]] == [
        ("Price EUR, in minor units", "1800", "1900")
    ]
    result = load(lists, "SKU;Price EUR;Price NA [USD]\nsku-1-0-0;19;\nsku-1-1-0;;7\n", mode="merge")
    assert (result.updated, result.rejected) == (2, 0)
    assert prices_of_list(lists) == [
        ("sku-1-0-0", "eur", None, 1500),
        ("sku-1-0-0", "eur", None, 1900),
        ("sku-1-0-0", "usd", None, 2000),
        ("sku-1-1-0", "eur", None, 1700),
        ("sku-1-1-0", "usd", "NA", 700),
    ]


def test_R7_with_replace_the_preview_says_what_variants_of_the_file_lose(lists):
    with_tier(lists)
    content = "SKU;Price EUR\nsku-1-0-0;18\n"
    job = lists.preview(PriceListImport(), price_list_id=LIST, file_key=lists.put(content))
    assert messages(job)["price-list-import-remove"] == (
        "1 prices of variants that are not in the file, "
        "and 2 prices of variants that are, which the file does not give them"
    )
    assert sorted((change["before"], change["after"]) for change in job.plan["sample"]) == [
        ("1500", None), ("2000", None),
    ]  # fmt: skip
    load(lists, content)
    assert prices_of_list(lists) == [("sku-1-0-0", "eur", None, 1800)]


def test_R18_an_id_and_a_sku_of_different_variants_are_a_reject_and_change_neither(lists):
    load(lists, f"{BOTH}sku-1-2-0;5;\n")
    before = prices_of_list(lists)
    ((variant,),) = lists.rows("SELECT id FROM product_variant WHERE sku = 'sku-1-0-0'")
    content = f"Product Variant ID;SKU;Price EUR\n{variant};sku-1-1-0;3\n;sku-1-2-0;6\n"
    job = lists.preview(PriceListImport(), price_list_id=LIST, file_key=lists.put(content))
    assert messages(job)["price-list-import-remove"].startswith("0 prices of variants that are not in the file")
    result = load(lists, content)
    assert [(row["reject_line"], row["reject_reason"]) for row in lists.rejects(result)] == [
        ("2", f"SKU: variant {variant} has the SKU sku-1-0-0, not sku-1-1-0")
    ]
    assert prices_of_list(lists) == [(*row[:3], 600) if row[0] == "sku-1-2-0" else row for row in before]


def test_R18_an_id_and_its_own_sku_agree(lists):
    ((variant,),) = lists.rows("SELECT id FROM product_variant WHERE sku = 'sku-1-0-0'")
    result = load(lists, f"Product Variant ID;SKU;Price EUR\n{variant};sku-1-0-0;3\n")
    assert (result.created, result.rejected) == (1, 0)


def test_R16_the_template_imports_as_it_is_any_number_of_times(lists):
    lists.run(ProductImport(), file_key=lists.put(ProductImport().build_template()))
    template = PriceListImport().build_template()
    before = load(lists, template)
    for mode in ("replace", "merge"):
        again = load(lists, template, mode=mode)
        assert (again.created, again.updated, again.unchanged, again.rejected) == (0, 0, before.created, 0)


def as_xlsx(rows):
    from openpyxl import Workbook

    book = Workbook()
    for row in rows:
        book.active.append(row)
    stream = BytesIO()
    book.save(stream)
    return stream.getvalue()


def as_parquet(rows):
    stream = BytesIO()
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
    pq.write_table(pa.table({name: list(cells) for name, cells in columns.items()}), stream)
    return stream.getvalue()


def as_json_lines(rows):
    return "".join(json.dumps(dict(zip(rows[0], row, strict=True))) + "\n" for row in rows[1:])


@pytest.mark.parametrize(("suffix", "write"), [("xlsx", as_xlsx), ("parquet", as_parquet), ("jsonl", as_json_lines)])
def test_R15_other_formats_of_a_price_list_are_read_with_their_numbers(lists, suffix, write):
    rows = [("SKU", "Price EUR", "Price NA [USD]"), ("sku-1-0-0", 15.5, 20.0), ("sku-1-1-0", 0.29, None)]
    result = lists.run(PriceListImport(), price_list_id=LIST, file_key=lists.put(write(rows), f"in.{suffix}"))
    assert result.rejected == 0
    assert prices_of_list(lists) == [
        ("sku-1-0-0", "eur", None, 1550),
        ("sku-1-0-0", "usd", "NA", 2000),
        ("sku-1-1-0", "eur", None, 29),
    ]


CELLS = st.sampled_from(["", "0", "5", "7.25", "5,5", "-1", "9.999"])
SKUS = st.sampled_from([*(f"sku-1-{number}-0" for number in range(4)), "nobody", ""])
FILES = st.lists(st.tuples(SKUS, CELLS, CELLS), max_size=6)


@settings(max_examples=10, suppress_health_check=list(HealthCheck), deadline=None)
@given(before=FILES, rows=FILES, mode=st.sampled_from(["replace", "merge"]))
def test_the_preview_removes_adds_and_refuses_what_the_run_does(lists, before, rows, mode):
    load(lists, as_file(before))
    with_prices = prices_of_list(lists)
    job = lists.preview(PriceListImport(), price_list_id=LIST, file_key=lists.put(as_file(rows)), mode=mode)
    counts = job.plan["counts"]
    hooks.process(PriceListImport(), job)
    hooks.post_process(PriceListImport(), job)

    after = prices_of_list(lists)
    named = {sku for sku, *_ in rows}
    gone = {row[0] for row in with_prices} - {row[0] for row in after}
    result = job.result
    assert (result.created, result.updated, result.unchanged, result.rejected) == (
        counts["variants_created"], counts["variants_updated"], counts["variants_unchanged"], counts["rows_rejected"],
    )  # fmt: skip
    refused = {row["SKU"] for row in lists.rejects(result)}
    assert [row for row in after if row[0] in refused] == [row for row in with_prices if row[0] in refused]
    if mode == "merge":
        assert gone == set()
    others = [row for row in with_prices if row[0] not in named]
    said = messages(job)["price-list-import-remove"]
    assert said.startswith("no prices" if not job.plan["_removes_others"] else f"{len(others)} prices")
    assert [row for row in after if row[0] not in named] == ([] if job.plan["_removes_others"] else others)


def as_file(rows):
    return "SKU;Price EUR;Price USD\n" + "".join(f"{';'.join(row)}\n" for row in rows)
