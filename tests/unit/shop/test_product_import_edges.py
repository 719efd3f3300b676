"""Untidy files that a real Medusa read: each leaves what Medusa left, or something better that docs/medusa.md names."""

import json
import re
from pathlib import Path

import pytest

from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.errors import JobRefused
from support.shop import GOLDEN

EDGE = GOLDEN / "edge"
DOCS = Path(__file__).parents[3] / "docs" / "medusa.md"
ALL = (0, 1, 2)

#: Files that both take whole or refuse whole.
AS_MEDUSA = {
    "all_quoted", "cr_only", "formula_cells", "handle_untidy", "header_lower_case", "lf_only", "long_text",
    "quantity_negative", "quote_inside", "same_handle_apart", "unclosed_quote", "values_with_blanks",
}  # fmt: skip
#: Files that Medusa fails on and that are read here: the numbers of the products that go in.
READ_HERE = {
    "blank_line": ALL,
    "blank_lines_at_end": ALL,
    "bom": ALL,
    "existing_handle": ALL,  # in already; the second import finds them unchanged
    "header_with_blanks": ALL,
    "nul_byte": (0, 2),
    "option_name_differs": (2,),
    "price_large": (1, 2),
    "price_with_sign": (1, 2),
    "quantity_decimal": (1, 2),
    "quantity_empty": (1, 2),
    "quantity_too_big": (1, 2),
    "same_options_twice": (2,),
    "unknown_variant_id": (1, 2),
}
#: Files whose cells Medusa reads wrongly -> the line and reason of each reject here.
REFUSED_HERE = {
    "decimal_comma": {2: "Price EUR: '12,50' is not a price"},
    "price_half_cent": {
        2: "Price EUR: '1.005' would be rounded",
        3: "Price EUR: '0.285' would be rounded",
        4: "Price EUR: '10.999' would be rounded",
    },
    "price_negative_zero_empty": {2: "Price EUR: '-5' is negative"},
    "price_thousands": {2: "Price EUR: '1 234.50' is not a price"},
}
#: Files whose cells Medusa reads wrongly -> the cells that are others here, by product and field.
RIGHT_HERE = {
    "latin1": {(0, "title"): "Rød blå"},
    "tags_untidy": {(0, "tags"): "< a> < b> <a > <red>"},
    "typed_cells": {
        (0, "hs_code"): "1.50",
        (0, "sku"): "00123",
        (0, "barcode"): "1e3",
        (2, "hs_code"): "-0",
        (2, "barcode"): " 42 ",
    },
}
#: Files that Medusa takes, and that cannot be meant.
REFUSED_WHOLE = {"header_twice": "the header has 'Price EUR' in columns 11 and 14"}
NAMES = sorted(path.stem for path in EDGE.glob("*.csv"))
BETTER = {*READ_HERE, *REFUSED_HERE, *RIGHT_HERE, *REFUSED_WHOLE}


def test_every_file_is_one_of_these_and_each_difference_is_in_the_docs():
    assert set(NAMES) == AS_MEDUSA | BETTER
    assert len(NAMES) == 34
    assert set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(), re.MULTILINE)) & set(NAMES) == BETTER


@pytest.mark.parametrize("name", NAMES)
def test_an_untidy_file_leaves_what_medusa_left_or_better(shop, name):
    medusa = json.loads((EDGE / f"{name}.json").read_text())
    key = shop.put(EDGE / f"{name}.csv")
    refused, result = None, None
    try:
        for _ in range(2 if name == "existing_handle" else 1):
            result = shop.run(ProductImport(), file_key=key)
    except JobRefused as error:
        refused = str(error)
    written = rows_written(shop)
    expected = medusa_wrote(medusa)

    if name in REFUSED_WHOLE:
        assert REFUSED_WHOLE[name] in refused
        assert written == {}
    elif name in READ_HERE:
        assert medusa["status"] == "failed"
        assert sorted(number(handle) for handle in handles(written)) == list(READ_HERE[name])
        assert (result.rejected == 0) is (READ_HERE[name] == ALL)
    else:
        if name in REFUSED_HERE:
            rejects = {int(row["reject_line"]): row["reject_reason"] for row in shop.rejects(result)}
            assert rejects.keys() == REFUSED_HERE[name].keys()
            assert all(rejects[line].startswith(reason) for line, reason in REFUSED_HERE[name].items())
            expected = {key: row for key, row in expected.items() if number(key[0]) + 2 not in rejects}
        for (product, field), value in RIGHT_HERE.get(name, {}).items():
            row = next(row for (handle, _), row in expected.items() if number(handle) == product)
            assert row[field] != value
            row[field] = value
        assert written == expected


def number(handle):
    return int(handle.rsplit("-", 1)[1])


def handles(rows):
    return {handle for handle, _ in rows}


def medusa_wrote(medusa):
    rows = {}
    for row in medusa["rows_written"]:
        prices = sorted((price["currency"], price["amount"]) for price in row.pop("prices") or [])
        rows[row["handle"], row["variant_rank"]] = row | {"prices": prices}
    return rows


FIELDS = (
    "handle", "title", "description", "hs_code", "status", "variant_title", "sku", "barcode", "inventory_quantity",
    "variant_rank",
)  # fmt: skip


def rows_written(shop):
    """The products and variants in the shop, as the recordings have them."""
    rows = {}
    for *fields, product_id, variant_id in shop.rows(
        "SELECT p.handle, p.title, p.description, p.hs_code, p.status, v.title, v.sku, v.barcode, "
        "v.inventory_quantity, v.variant_rank, p.id, v.id FROM product p JOIN product_variant v ON v.product_id = p.id"
    ):
        row = dict(zip(FIELDS, fields, strict=True))
        tags = shop.rows(
            "SELECT value FROM product_tag t JOIN product_tags k ON k.product_tag_id = t.id "
            f"WHERE k.product_id = '{product_id}'"
        )
        options = shop.rows(
            "SELECT o.title, x.value FROM product_option_value x JOIN product_option o ON o.id = x.option_id "
            f"WHERE x.variant_id = '{variant_id}'"
        )
        prices = shop.rows(
            "SELECT m.currency_code, m.amount FROM money_amount m JOIN product_variant_money_amount k "
            f"ON k.money_amount_id = m.id WHERE k.variant_id = '{variant_id}'"
        )
        row["tags"] = " ".join(sorted(f"<{tag}>" for (tag,) in tags)) or None
        row["options"] = ", ".join(sorted(f"{title}={value}" for title, value in options)) or None
        rows[row["handle"], row["variant_rank"]] = row | {"prices": sorted(map(tuple, prices))}
    return rows
