"""Columns that are renamed, translated, given to several targets, or filled in before they are products."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.shop.importing.columns import map_file
from batch_jobs.strategies.tables.formats.reading import Batch, Reader

HEAD = "Handle;Name;State;Code;Stock;Attribute;Word\n"
COLUMNS = {
    "Handle": "Product Handle",
    "Name": {"to": "Product Title", "fill_down": "Handle"},
    "State": {"to": "Product Status", "values": {"active": "published", "gone": None}, "default": "proposed"},
    "Code": ["Variant SKU", "Variant Title"],
    "Stock": {"to": "Variant Inventory Quantity", "default": "0"},
    "Attribute": {"to": "Option 1 Name", "fill_down": "Handle"},
    "Word": "Option 1 Value",
}


def load(shop, rows, columns=COLUMNS):
    return shop.run(ProductImport(), file_key=shop.put(HEAD + rows), columns=columns)


def test_one_column_feeds_two_and_cells_are_translated_filled_down_and_given_defaults(shop):
    result = load(shop, "hat;Hat;active;H-S;;Size;S\nhat;;active;H-M;4;;M\ncap;Cap;gone;C-S;1;;\n")
    assert (result.created, result.rejected) == (5, 0)
    assert sorted(shop.rows("SELECT handle, title, status FROM product")) == [
        ("cap", "Cap", "proposed"),
        ("hat", "Hat", "published"),
    ]
    assert sorted(shop.rows("SELECT sku, title, inventory_quantity FROM product_variant")) == [
        ("C-S", "C-S", 1),
        ("H-M", "H-M", 4),
        ("H-S", "H-S", 0),
    ]
    assert sorted(shop.rows("SELECT value FROM product_option_value")) == [("M",), ("S",)]


def test_a_cell_that_is_not_translated_is_a_reject_with_both_names_and_the_file_comes_back_as_it_was(shop):
    result = load(shop, "hat;Hat;on sale;H-S;;Size;S\n")
    (row,) = shop.rejects(result)
    assert row["reject_reason"].startswith("State → Product Status: 'on sale' is not one of")
    assert list(row) == [*HEAD.strip().split(";"), "reject_line", "reject_reason"]
    corrected = shop.read(result.rejects_file_key).replace("on sale", "active")
    again = shop.run(ProductImport(), file_key=shop.put(corrected), columns=COLUMNS)
    assert (again.created, again.rejected) == (2, 0)


class Cut(Reader):
    """Rows in batches of any size."""

    columns, described = ["key", "word"], {}

    def __init__(self, rows, sizes):
        self.rows, self.sizes = rows, sizes

    def batches(self, start=None):
        begin = 0
        for size in [*self.sizes, len(self.rows)]:
            rows = self.rows[begin : begin + size]
            columns = [pa.array([row[number] for row in rows], pa.string()) for number in (0, 1)]
            yield Batch(pa.table(columns, names=self.columns), pa.array(range(len(rows))), [], {})
            begin += size


cells = st.sampled_from(["a", "b", "", None])


@given(
    st.lists(st.tuples(st.sampled_from("xy"), cells), max_size=12),
    st.lists(st.integers(0, 4), max_size=4),
    st.booleans(),
)
def test_filling_down_goes_on_from_one_batch_to_the_next_and_only_where_it_holds(rows, sizes, everywhere):
    rule = {"to": "filled", "fill_down": True if everywhere else "key"}
    reader = map_file(["key", "word"], {"word": rule}).reader(Cut(rows, sizes))
    made = [cell for batch in reader.batches() for cell in batch.table["word → filled"].to_pylist()]
    expected, above, holds = [], None, None
    for key, word in rows:
        if word or (key != holds and not everywhere):
            above, holds = word or None, key
        expected.append(above)
    assert made == expected


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"Nome": "Product Title"}, "columns names Nome, which the file does not have"),
        ({"Name": {"to": "Product Title", "fill_down": "Nome"}}, "columns names Nome, which the file does not have"),
        ({"Name": ["Product Title", "Code"]}, "two columns of the file go into Code"),
        (dict.fromkeys(HEAD.strip().split(";")), "no column is left to load"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(columns, message):
    with pytest.raises(JobRefused, match=message):
        map_file(HEAD.strip().split(";"), columns)
