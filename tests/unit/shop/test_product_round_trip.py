"""Any catalogue exported and imported again is unchanged; any order of the rows gives the same tables."""

import csv
import io
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_jobs.strategies.product_export import ProductExport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.tables.values.formulas import neutralise_cell
from support.shop import Shop, base, emptied

NASTY = [
    "=1+1",
    "'=x",
    "-5",
    "@a",
    "a\nb",
    'q"q',
    "a;b,c\td",
    "007",
    "NULL",
    "true",
    "1e5",
    "ünï 🎈",
    " x ",
    "\r\n",
    "'",
]
texts = st.sampled_from(NASTY) | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
maybe = st.just("") | texts
numbers = st.just("") | st.integers(-(2**31), 2**31 - 1).map(str)
prices = st.just("") | st.integers(0, 10**8).map(lambda cents: f"{cents / 100:.2f}")
words = st.sampled_from(["new", "sale", "éco", " x", "a b"])
EXAMPLES = settings(max_examples=6, suppress_health_check=list(HealthCheck))


@st.composite
def catalogues(draw: Any) -> list[dict[str, str]]:
    """The rows of a product file that has nothing wrong with it."""
    rows: list[dict[str, str]] = []
    handles = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    for handle in handles:
        titles = draw(st.lists(st.sampled_from(["Size", "Colour", "=f"]), max_size=2, unique=True))
        product = {
            "Product Handle": handle,
            "Product Title": draw(texts),
            "Product Subtitle": draw(maybe),
            "Product Description": draw(maybe),
            "Product Status": draw(st.sampled_from(["draft", "proposed", "published", "rejected"])),
            "Product Weight": draw(numbers),
            "Product Discountable": draw(st.sampled_from(["true", "FALSE", "yes"])),
            "Product Collection Handle": draw(st.sampled_from(["", "summer"])),
            "Product Type": draw(st.sampled_from(["", "type a", "@b"])),
            "Product Tags": ",".join(draw(st.lists(words, max_size=3, unique=True))),
            "Image 1 Url": draw(st.sampled_from(["", "http://i/1", "=i"])),
            "Image 2 Url": draw(st.sampled_from(["", "http://i/1", "http://i/2"])),
            "Sales Channel 1 Name": draw(st.sampled_from(["", "Web", "Kiosk"])),
        }
        values = draw(st.lists(texts, min_size=1, max_size=3 if titles else 1, unique=True))
        for value in values:
            options = {f"Option {number} {part}": "" for number in (1, 2) for part in ("Name", "Value")}
            for number, title in enumerate(titles, 1):
                options |= {f"Option {number} Name": title, f"Option {number} Value": value}
            variant = {
                "Variant Title": draw(texts),
                "Variant SKU": draw(st.sampled_from(["", f"SKU {len(rows)}", f"={len(rows)}"])),
                "Variant Inventory Quantity": str(draw(st.integers(-5, 10**6))),
                "Variant Allow Backorder": draw(st.sampled_from(["true", "false"])),
                "Variant Height": draw(numbers),
                "Price EUR": draw(prices),
                "Price JPY": draw(st.just("") | st.integers(0, 10**6).map(str)),
                "Price NA [USD]": draw(prices),
            }
            rows.append(product | variant | options)
    return rows


def as_csv(rows: list[dict[str, str]]) -> str:
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]), delimiter=";", lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    # what a spreadsheet would run is marked, as an export marks it
    writer.writerows({name: neutralise_cell(cell) for name, cell in row.items()} for row in rows)
    return written.getvalue()


def everything(shop: Shop) -> dict[str, list[str]]:
    return {
        table.name: sorted(map(repr, shop.rows(f'SELECT * FROM "{table.name}"')))
        for table in tables.metadata.tables.values()
        if table.name.startswith(("product", "money", "image"))
    }


def test_any_catalogue_exported_and_imported_again_is_unchanged(shop):
    @EXAMPLES
    @given(catalogues())
    def check(rows):
        emptied(shop.target)
        first = shop.run(ProductImport(), file_key=shop.put(as_csv(rows)))
        assert (first.rejected, first.created) == (0, first.count), shop.rejects(first)
        before = everything(shop)

        exported = shop.run(ProductExport())
        for match in ("handle", "id"):
            again = shop.run(ProductImport(), file_key=exported.file_key, match=match)
            assert (again.unchanged, again.rejected) == (first.count, 0), (shop.rejects(again), again)
        assert everything(shop) == before

    check()


def test_an_export_imported_into_another_shop_gives_the_same_tables(shop, open_shop):
    other = open_shop(base)
    other.files = shop.files

    @EXAMPLES
    @given(catalogues())
    def check(rows):
        emptied(shop.target)
        emptied(other.target)
        shop.run(ProductImport(), file_key=shop.put(as_csv(rows)))
        exported = shop.run(ProductExport())
        header = shop.read(exported.file_key).splitlines()[0].split(";")
        columns = {name: None for name in ("Product Id", "Variant Id", "Sales Channel 1 Id") if name in header}
        again = other.run(ProductImport(), file_key=exported.file_key, columns=columns)
        assert again.rejected == 0, other.rejects(again)
        assert other.picture() == shop.picture()

    check()


@pytest.mark.long
def test_any_order_of_the_rows_gives_the_same_tables(shop):
    """But for the ranks of variants, which are their order in the file."""

    @EXAMPLES
    @given(catalogues(), st.integers(1, 4), st.randoms(use_true_random=False))
    def check(rows, chunk_size, chance):
        shop.chunk_size = chunk_size
        emptied(shop.target)
        shop.run(ProductImport(), file_key=shop.put(as_csv(rows)))
        expected = shop.picture() | {"variant": ranks_aside(shop)}

        emptied(shop.target)
        shuffled = chance.sample(rows, len(rows))
        result = shop.run(ProductImport(), file_key=shop.put(as_csv(shuffled)))
        assert result.rejected == 0
        assert shop.picture() | {"variant": ranks_aside(shop)} == expected

    check()


def ranks_aside(shop: Shop) -> list[str]:
    return sorted(repr(variant[:-1]) for variant in shop.picture()["variant"].elements())


def test_rows_of_a_product_that_lie_far_apart_are_one_product(shop):
    """One bucket of the scattered_rows and many, groups smaller and larger than a product."""
    head = "Product Handle;Product Title;Variant Title;Variant SKU;Variant Inventory Quantity;"
    head += "Option 1 Name;Option 1 Value\n"
    lines = [f"p{n % 50};Product {n % 50};V{n};SKU{n};{n};Size;{n}\n" for n in range(400)]
    shop.chunk_size = 25
    result = shop.run(ProductImport(), file_key=shop.put(head + "".join(lines)))
    assert (result.created, result.rejected) == (450, 0)
    assert shop.rows("SELECT count(*), min(variant_rank), max(variant_rank) FROM product_variant") == [(400, 0, 7)]

    random.Random(4).shuffle(lines)
    again = shop.run(ProductImport(), file_key=shop.put(head + "".join(lines)))
    assert (again.unchanged, again.rejected) == (450, 0)


def test_files_are_kept_in_any_store(tmp_path, shop):
    other = Shop(shop.target, FileStore(f"memory://shop-{tmp_path.name}"))
    result = other.run(ProductImport(), file_key=other.put(ProductImport().build_template()))
    assert result.created == 5
