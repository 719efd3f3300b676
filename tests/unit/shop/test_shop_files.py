"""Where the imports of a shop read from: several files, archives, and addresses elsewhere."""

import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from batch_jobs.strategies.price_list_import import PriceListImport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.errors import ContextRefused, InputRefused
from batch_jobs.strategies.sdk.sources import Sources

HEAD = (
    "Product Handle;Product Title;Variant Title;Variant SKU;Variant Inventory Quantity;Option 1 Name;Option 1 Value\n"
)
FIRST = HEAD + "mug;Mug;Blue;MUG-B;1;Colour;Blue\ncup;Cup;Blue;CUP-B;1;Colour;Blue\n"
#: The same columns in another order, and a variant of a product of the first file.
SECOND = (
    "Variant SKU;Variant Title;Variant Inventory Quantity;Product Handle;Product Title;Option 1 Name;Option 1 Value\n"
    "MUG-R;Red;1;mug;Mug;Colour;Red\nCUP-B;Blue;1;can;Can;Colour;Blue\n"
)


def keys(shop):
    with shop.files.writing("in/1.csv") as stream:
        stream.write(FIRST.encode())
    with shop.files.writing("in/2.csv") as stream:
        stream.write(SECOND.encode())
    return ["in/1.csv", "in/2.csv"]


def skus(shop):
    return shop.rows("SELECT sku FROM product_variant ORDER BY 1")


@pytest.mark.parametrize("pattern", [False, True])
def test_several_files_are_one_job_in_which_a_product_may_lie_in_two_and_rejects_name_theirs(shop, pattern):
    given = keys(shop)
    job = shop.preview(ProductImport(), file_key="in/*.csv" if pattern else given)
    assert [file["key"] for file in job.plan["files"]] == given
    assert [file["rows"] for file in job.plan["files"]] == [2, 2]

    result = shop.run(ProductImport(), file_key="in/*.csv" if pattern else given)

    assert skus(shop) == [("CUP-B",), ("MUG-B",), ("MUG-R",)]
    assert shop.rows("SELECT count(*) FROM product") == [(2,)]
    (row,) = shop.rejects(result)
    assert (row["reject_file"], row["reject_line"]) == ("in/2.csv", "3")
    assert row["reject_reason"] == "Variant SKU: 'CUP-B' is already on line 3 of in/1.csv"


def test_what_is_not_taken_and_what_changes_is_shown_with_its_file(shop):
    shop.run(ProductImport(), file_key=keys(shop)[0])
    with shop.files.writing("in/2.csv") as stream:
        stream.write((HEAD + "mug;Beaker;Red;MUG-R;1;Colour;Red\ncan;Can;Red;CAN-R;1;Colour;Red\n").encode())
    with shop.files.writing("in/3.csv") as stream:
        stream.write((HEAD + "cup;Tea cup;Blue;CUP-B;1;Colour;Blue\n").encode())

    job = shop.preview(ProductImport(), file_key=["in/1.csv", "in/2.csv"])
    assert [(cell["file"], cell["line"]) for cell in job.plan["not_taken"]] == [("in/2.csv", 2)]
    assert job.plan["not_taken"][0]["message"] == "is 'Beaker' where line 2 of in/1.csv of the same product has 'Mug'"

    job = shop.preview(ProductImport(), file_key=["in/3.csv", "in/2.csv"])
    assert ("in/3.csv", 2, "Cup", "Tea cup") in [
        (change["file"], change["line"], change["before"], change["after"]) for change in job.plan["sample"]
    ]


def test_files_of_different_columns_are_refused_by_name(shop):
    first, second = keys(shop)
    with shop.files.writing(second) as stream:
        stream.write(b"Product Handle;Product Title\nmug;Mug\n")
    with pytest.raises(InputRefused, match=r"in/2\.csv.*lacks Variant Title, .*beside the columns of in/1\.csv"):
        shop.preview(ProductImport(), file_key=[first, second])


def test_a_file_of_an_archive_is_read_by_its_name(shop):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a/products.csv", FIRST)
        packed.writestr("prices.csv", "SKU;Price EUR\n")
    key = shop.put(archive.getvalue(), "shop.zip")
    shop.run(ProductImport(), file_key=f"{key}#a/products.csv")
    assert skus(shop) == [("CUP-B",), ("MUG-B",)]
    with pytest.raises(InputRefused, match="name one, as"):
        shop.preview(ProductImport(), file_key=key)


def test_a_name_that_tells_no_format_is_csv_also_among_several(shop):
    first, second = shop.put(FIRST, "products"), shop.put(SECOND.replace("CUP-B", "CAN-B"), "more")
    assert shop.run(ProductImport(), file_key=[first, second]).rejected == 0
    assert len(skus(shop)) == 4


@pytest.fixture
def address():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(FIRST)))
            self.end_headers()
            self.wfile.write(FIRST.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_a_source_is_fetched_where_the_settings_allow_it(shop, address):
    shop.sources = Sources((f"{address}/*",))
    shop.run(ProductImport(), source=f"{address}/products.csv")
    assert skus(shop) == [("CUP-B",), ("MUG-B",)]


def test_a_price_list_is_of_several_files_too(lists_shop):
    shop = lists_shop
    ((list_id,),) = shop.rows("SELECT id FROM price_list LIMIT 1")
    named = [sku for (sku,) in shop.rows("SELECT sku FROM product_variant WHERE sku IS NOT NULL ORDER BY sku LIMIT 2")]
    files = [shop.put(f"SKU;Price USD\n{sku};{number}\n", f"{number}.csv") for number, sku in enumerate(named, 5)]
    shop.run(PriceListImport(), file_key=files, price_list_id=list_id)
    assert shop.rows(f"SELECT amount FROM money_amount WHERE price_list_id = '{list_id}' ORDER BY 1") == [
        (500,),
        (600,),
    ]

    twice = shop.preview(PriceListImport(), file_key=[*files, files[0]], price_list_id=list_id)
    assert twice.result.rejected == 0  # a key that is given twice is one file
    again = shop.put(f"SKU;Price USD\n{named[0]};7\n", "7.csv")
    result = shop.run(PriceListImport(), file_key=[*files, again], price_list_id=list_id)
    assert f"this variant's price is already on line 2 of {files[0]}" in shop.rejects(result)[-1]["reject_reason"]


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({}, "the context of product-import is wrong: file_key is missing"),
        ({"file_key": []}, "product-import needs a file_key"),
        ({"file_key": "a.csv", "source": "https://a.example/b.csv"}, "give either file_key or source"),
    ],
)
def test_without_a_file_or_with_two_ways_to_one_a_job_is_refused(context, message):
    strategy = ProductImport()
    with pytest.raises(ContextRefused, match=message):
        strategy.prepare(strategy.Context.model_validate(context))
