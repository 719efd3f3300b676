"""Product files as spreadsheets and people leave them: each is read as it was meant, or refused in one line."""

import codecs
import csv
import io

import pytest

from batch_jobs.strategies.product_export import ProductExport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.errors import JobRefused

HEADER = ["Product Handle", "Product Title", "Product Description", "Variant Title", "Variant SKU"]
HEADER += ["Variant Inventory Quantity"]
MUG = ["mug", "Mug", "plain", "One", "MUG", "4"]
CUP = ["cup", "Cup", "plain", "One", "CUP", "5"]
CELLS = {
    "newline": "two\nlines",
    "carriage return and newline": "two\r\nlines",
    "one quote": '"',
    "two quotes": '""',
    "delimiters": "a;b,c\td|e",
    "megabyte": 'x;"\n,' * 210_000,
}


def written(rows, delimiter=";", line_end="\n"):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=line_end).writerows(rows)
    return text.getvalue()


def load(shop, content):
    return shop.run(ProductImport(), file_key=shop.put(content))


def titles(shop):
    return [title for (title,) in shop.rows("SELECT title FROM product ORDER BY handle DESC")]


def refusal(shop, content):
    with pytest.raises(JobRefused) as refused:
        load(shop, content)
    assert "\n" not in str(refused.value)
    assert shop.rows("SELECT count(*) FROM product") == [(0,)]
    return str(refused.value)


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("name", CELLS)
def test_S41_a_cell_is_stored_as_it_is_and_survives_export_and_import(shop, name, delimiter):
    mug = [*MUG[:2], CELLS[name], *MUG[3:]]
    assert load(shop, written([HEADER, mug, CUP], delimiter)).created == 4
    stored = shop.rows("SELECT description FROM product ORDER BY handle DESC")
    assert stored == [(CELLS[name],), ("plain",)]

    again = shop.run(ProductImport(), file_key=shop.run(ProductExport()).file_key)
    assert (again.unchanged, again.rejected) == (4, 0)


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("mark", "encoding"), [(b"", "utf-8"), (codecs.BOM_UTF8, "utf-8"), (b"", "cp1252"), (b"", "utf-16")]
)
def test_S41_encodings_delimiters_and_line_ends_are_found_out(shop, mark, encoding, line_end, delimiter):
    content = written([HEADER, ["mug", "Crème 5 €", *MUG[2:]], CUP], delimiter, line_end)
    assert load(shop, mark + content.encode(encoding)).created == 4
    assert titles(shop) == ["Crème 5 €", "Cup"]


@pytest.mark.parametrize("ending", ["", "\n", "\n\n\n", "\r\n\r\n"])
def test_S41_empty_lines_at_the_end_are_no_rows(shop, ending):
    result = load(shop, written([HEADER, MUG]).rstrip("\n") + ending)
    assert (result.created, result.rejected) == (2, 0)


def test_S41_a_header_without_rows_completes_with_nothing(shop):
    result = load(shop, written([HEADER]))
    assert (result.count, result.created, result.rejected) == (0, 0, 0)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_S41_an_empty_file_is_refused(shop, content):
    assert "the file is empty; it needs at least a line with the names of the columns" in refusal(shop, content)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (HEADER[1:], "there is no column Product Handle; it says which rows are one product"),
        ([*HEADER, "Product Tittle"], "has no column Product Tittle; did you mean Product Title"),
        ([*HEADER, "Product Title"], "the header has 'Product Title' in columns 2 and 7; rename one"),
        ([*HEADER, "Option 1 Name"], "there is a column Option 1 Name and no Option 1 Value"),
    ],
)
def test_S41_missing_unknown_and_doubled_columns_are_refused_by_name(shop, header, reason):
    assert reason in refusal(shop, written([header, [*MUG, "x"][: len(header)]]))


def test_S41_a_ragged_row_is_a_reject_with_its_line_and_the_others_go_in(shop):
    short, long = ["pot", "Pot"], ["jar", "Jar", "two\nlines", "One", "JAR", "1", "more", "still more"]
    result = load(shop, written([HEADER, short, MUG, long, CUP]))
    assert [(row["reject_line"], row["reject_reason"]) for row in shop.rejects(result)] == [
        ("2", "has 2 cells where the header has 6"),
        ("4", "has 8 cells where the header has 6"),
    ]
    assert titles(shop) == ["Mug", "Cup"]
