"""The preview is what the run does, in any shop and for any file: every count, and every change that is shown."""

import csv
import io
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import text

from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.shop.importing.planning import SAMPLE_SIZE
from support.shop import Shop, emptied

EXAMPLES = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
BASE = """\
Product Handle;Product Title;Product Subtitle;Product Thumbnail;Product Tags;Product Type;Product Collection Handle;\
Variant Title;Variant SKU;Variant Barcode;Variant Inventory Quantity;Price EUR;Price USD;Price EU [EUR];\
Option 1 Name;Option 1 Value;Image 1 Url;Image 2 Url;Sales Channel 1 Name
shirt;Shirt;Soft;t.png;new,cotton;Tops;summer;S;SH-S;111;10;20;22;19;Size;S;1.png;2.png;Web
shirt;Shirt;Soft;t.png;new,cotton;Tops;summer;M;SH-M;112;5;20;22;;Size;M;1.png;2.png;Web
mug;Mug;;;;Kitchen;;One;MUG;;7;9.5;;;Size;One;;;
hat;Hat;;;new;Tops;winter;S;;;7;9.5;;;Size;S;1.png;;Kiosk
hat;Hat;;;new;Tops;winter;L;;;7;9.5;;;Size;L;1.png;;Kiosk
"""
#: What may have become of the shop since its products went in.
EVENTS = {
    "region deleted": ["UPDATE region SET deleted_at = CURRENT_TIMESTAMP WHERE name = 'EU'"],
    "region made again": [
        "UPDATE region SET deleted_at = CURRENT_TIMESTAMP WHERE name = 'EU'",
        "INSERT INTO region (id, name, currency_code, tax_rate) VALUES ('reg_again', 'EU', 'eur', 20)",
    ],
    "type deleted": ["UPDATE product_type SET deleted_at = CURRENT_TIMESTAMP WHERE value = 'Tops'"],
    "type made again": [
        "UPDATE product_type SET deleted_at = CURRENT_TIMESTAMP WHERE value = 'Tops'",
        "INSERT INTO product_type (id, value) VALUES ('ptyp_again', 'Tops')",
    ],
    "collection deleted": ["UPDATE product_collection SET deleted_at = CURRENT_TIMESTAMP WHERE handle = 'summer'"],
    "collection made again": [
        "UPDATE product_collection SET deleted_at = CURRENT_TIMESTAMP WHERE handle = 'summer'",
        "INSERT INTO product_collection (id, title, handle) VALUES ('pcol_again', 'Summer', 'summer')",
    ],
    "tag deleted": ["UPDATE product_tag SET deleted_at = CURRENT_TIMESTAMP WHERE value = 'new'"],
    "second price": [
        "INSERT INTO money_amount (id, currency_code, amount) VALUES ('ma_2', 'eur', 1000)",
        "INSERT INTO product_variant_money_amount (id, money_amount_id, variant_id) "
        "SELECT 'pvma_2', 'ma_2', id FROM product_variant WHERE sku IN ('MUG')",
    ],
    "price for a quantity": [
        "INSERT INTO money_amount (id, currency_code, amount, min_quantity) VALUES ('ma_3', 'eur', 500, 10)",
        "INSERT INTO product_variant_money_amount (id, money_amount_id, variant_id) "
        "SELECT 'pvma_3', 'ma_3', id FROM product_variant WHERE sku = 'SH-S'",
    ],
    "sku missing": ["UPDATE product_variant SET sku = NULL WHERE sku = 'SH-M'"],
    "variant deleted": ["UPDATE product_variant SET deleted_at = CURRENT_TIMESTAMP WHERE sku = 'SH-S'"],
    "product deleted": ["UPDATE product SET deleted_at = CURRENT_TIMESTAMP WHERE handle = 'mug'"],
}
#: What a cell may be instead of what the shop has.
OTHERWISE = {
    "Product Title": ["Other"],
    "Product Subtitle": ["", "Hard"],
    "Product Thumbnail": ["", "u.png"],
    "Product Tags": ["", "new", "cotton,new", "fresh"],
    "Product Type": ["", "Tops", "Cups"],
    "Product Collection Handle": ["", "summer", "winter"],
    "Image 1 Url": ["", "3.png"],
    "Sales Channel 1 Name": ["", "Web", "Kiosk"],
    "Variant Title": ["Other"],
    "Variant SKU": ["", "SH-S", "SH-M", "MUG", "NEW-1", "NEW-2"],
    "Variant Barcode": ["", "111", "112", "113"],
    "Variant Inventory Quantity": ["1", "2", "x"],
    "Price EUR": ["", "20", "9.5", "10"],
    "Price USD": ["", "22", "23"],
    "Price EU [EUR]": ["", "19", "18"],
    "Option 1 Value": ["S", "M", "L", "One"],
}
ALREADY = list(csv.DictReader(io.StringIO(BASE), delimiter=";"))
NEW = [
    ALREADY[1] | {"Variant Title": "XL", "Variant SKU": "SH-XL", "Variant Barcode": "", "Option 1 Value": "XL"},
    *(
        ALREADY[0]
        | {"Product Handle": "cap", "Variant SKU": f"CAP-{size}", "Variant Barcode": "", "Option 1 Value": size}
        for size in "SM"
    ),
]


@st.composite
def files(draw: Any) -> list[dict[str, str]]:
    """Rows of a product file: of what the shop has and of what is new, with some cells that are others."""
    chosen = draw(st.lists(st.sampled_from([*ALREADY, *NEW]), min_size=1, unique_by=id))
    columns = draw(st.sets(st.sampled_from(list(OTHERWISE))) | st.just(set(OTHERWISE)))
    changing = draw(st.sets(st.sampled_from(sorted(columns)), max_size=3)) if columns else set()
    with_ids = draw(st.booleans())
    rows = []
    of_product: dict[tuple[str, str], str] = {}
    for known in chosen:
        row = {"Product Handle": known["Product Handle"]}
        for name in sorted(columns):
            row[name] = known[name]
            if name in changing:
                other = draw(st.sampled_from([known[name], *OTHERWISE[name]]))
                same = name.startswith(("Product", "Image", "Sales"))
                row[name] = of_product.setdefault((known["Product Handle"], name), other) if same else other
        if "Option 1 Value" in row:
            row["Option 1 Name"] = "Size"
        if with_ids:
            row["Variant Id"] = known["Option 1 Value"] if draw(st.booleans()) or "SKU" not in columns else ""
        rows.append(row)
    return rows


def as_csv(shop: Shop, rows: list[dict[str, str]]) -> str:
    ids = {
        (handle, value): variant
        for handle, value, variant in shop.rows(
            "SELECT p.handle, x.value, x.variant_id FROM product_option_value x "
            "JOIN product_variant v ON v.id = x.variant_id JOIN product p ON p.id = v.product_id"
        )
    }
    lines = [";".join(rows[0])]
    for row in rows:
        named = row | {"Variant Id": ids.get((row["Product Handle"], row.get("Variant Id")), "")}
        lines.append(";".join(named[name] for name in rows[0]))
    return "\n".join([*lines, ""])


def opened(shop: Shop, events: set[str]) -> None:
    """The shop as it was at first, and what became of it."""
    emptied(shop.target)
    shop.rows("DELETE FROM region WHERE id = 'reg_again'")
    shop.rows("DELETE FROM product_collection WHERE id NOT LIKE 'pcol_01M85%'")
    shop.rows("UPDATE region SET deleted_at = NULL")
    shop.rows("UPDATE product_collection SET deleted_at = NULL")
    assert shop.run(ProductImport(), file_key=shop.put(BASE)).rejected == 0
    for event in sorted(events):
        for statement in EVENTS[event]:
            shop.rows(statement)


TABLES = ("product", "product_variant", "product_option_value", "money_amount", "product_type", "product_tag",
          "product_collection")  # fmt: skip
LINKS = {"images": "product_images", "tags": "product_tags", "channels": "product_sales_channel"}
#: Fields of the tables -> what the plan calls them.
FIELDS = {
    "product": {"title": "Product Title", "subtitle": "Product Subtitle", "thumbnail": "Product Thumbnail",
                "type_id": "Product Type", "collection_id": "Product Collection Handle"},
    "product_variant": {"title": "Variant Title", "sku": "Variant SKU", "barcode": "Variant Barcode",
                        "inventory_quantity": "Variant Inventory Quantity"},
}  # fmt: skip
SETS = {"images": "Images", "tags": "Product Tags", "channels": "Sales Channels"}


class Difference:
    """What a run did, found by comparing the tables before and after."""

    def __init__(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        self.before, self.after = before, after

    def made(self, table: str) -> set[str]:
        return self.after[table].keys() - self.before[table].keys()

    def gone(self, table: str) -> set[str]:
        return self.before[table].keys() - self.after[table].keys()

    def changed(self, table: str, field: str) -> set[str]:
        return {
            row_id
            for row_id, row in self.before[table].items()
            if row_id in self.after[table] and row[field] != self.after[table][row_id][field]
        }

    def changed_products(self) -> set[str]:
        changed = set().union(*(self.changed("product", field) for field in FIELDS["product"]))
        for table in LINKS.values():
            changed |= {product for product, _ in self.before[table] ^ self.after[table]}
        return changed - self.made("product")

    def changed_variants(self) -> set[str]:
        changed = set().union(*(self.changed("product_variant", field) for field in FIELDS["product_variant"]))
        values = self.before["product_option_value"]
        changed |= {values[row_id]["variant_id"] for row_id in self.changed("product_option_value", "value")}
        for prices in (self.before["money_amount"], self.after["money_amount"]):
            touched = self.made("money_amount") | self.gone("money_amount") | self.changed("money_amount", "amount")
            changed |= {prices[row_id]["variant_id"] for row_id in touched if row_id in prices}
        return changed - self.made("product_variant")

    def counts(self) -> dict[str, int]:
        counts = {
            "products_created": len(self.made("product")),
            "products_updated": len(self.changed_products()),
            "variants_created": len(self.made("product_variant")),
            "variants_updated": len(self.changed_variants()),
            "prices_added": len(self.made("money_amount")),
            "prices_changed": len(self.changed("money_amount", "amount")),
            "prices_removed": len(self.gone("money_amount")),
            "types_made": len(self.made("product_type")),
            "tags_made": len(self.made("product_tag")),
            "collections_made": len(self.made("product_collection")),
        }
        for kind, table in LINKS.items():
            counts[f"{kind}_added"] = len(self.after[table] - self.before[table])
            counts[f"{kind}_removed"] = len(self.before[table] - self.after[table])
        return counts

    def by_column(self) -> dict[str, dict[str, int]]:
        columns: dict[str, dict[str, int]] = {}
        for table, fields in FIELDS.items():
            for field, name in fields.items():
                changed = self.changed(table, field)
                emptied = [row_id for row_id in changed if self.after[table][row_id][field] is None]
                columns[name] = {"changed": len(changed), "emptied": len(emptied)}
        columns["Option 1 Value"] = {"changed": len(self.changed("product_option_value", "value"))}
        for kind, table in LINKS.items():
            added, removed = self.after[table] - self.before[table], self.before[table] - self.after[table]
            columns[SETS[kind]] = {"added": len(added), "removed": len(removed)}
        found = {name: {kind: number for kind, number in kinds.items() if number} for name, kinds in columns.items()}
        return {name: kinds for name, kinds in found.items() if kinds}

    def shown(self) -> set[tuple[str, Any, Any]]:
        """The plain fields that changed, before and after."""
        return {
            (name, as_text(self.before[table][row_id][field]), as_text(self.after[table][row_id][field]))
            for table, fields in FIELDS.items()
            for field, name in fields.items()
            if not field.endswith("_id")
            for row_id in self.changed(table, field)
        }


def as_text(value: object) -> str | None:
    return None if value is None else str(value)


def snapshot(shop: Shop) -> dict[str, Any]:
    found: dict[str, Any] = {name: rows_by_id(shop, f"SELECT * FROM {name}") for name in TABLES}
    owners = dict(shop.rows("SELECT money_amount_id, variant_id FROM product_variant_money_amount"))
    for row_id, row in found["money_amount"].items():
        row["variant_id"] = owners[row_id]
    for table in LINKS.values():
        member = {"product_images": "image_id", "product_tags": "product_tag_id"}.get(table, "sales_channel_id")
        found[table] = set(shop.rows(f"SELECT product_id, {member} FROM {table}"))
    return found


def rows_by_id(shop: Shop, query: str) -> dict[str, dict[str, Any]]:
    with shop.target.connect() as connection:
        return {row["id"]: dict(row) for row in connection.execute(text(query)).mappings()}


def test_every_count_and_change_of_the_preview_is_what_the_run_does(shop):
    @EXAMPLES
    @given(st.sets(st.sampled_from(list(EVENTS)), max_size=4), files(), st.sampled_from([1, 2, 40]))
    def check(events, rows, chunk_size):
        shop.chunk_size = 40
        opened(shop, events)
        content = as_csv(shop, rows)
        note(content)
        shop.chunk_size = chunk_size
        before = snapshot(shop)

        job = shop.preview(ProductImport(), file_key=shop.put(content))
        plan, rejects = dict(job.plan), shop.rejects(job.result)
        assert snapshot(shop) == before
        hooks.process(ProductImport(), job)
        did = Difference(before, snapshot(shop))

        counts = plan["counts"]
        assert {name: counts[name] for name in did.counts()} == did.counts()
        assert counts["rows_rejected"] == job.result.rejected
        assert shop.rejects(job.result) == rejects
        assert counts["products_created"] + counts["variants_created"] == job.result.created
        assert counts["products_updated"] + counts["variants_updated"] == job.result.updated
        assert counts["products_unchanged"] + counts["variants_unchanged"] == job.result.unchanged
        columns = {name: kinds for name, kinds in plan["by_column"].items() if not name.startswith("Price")}
        assert columns == did.by_column()
        prices = [kinds for name, kinds in plan["by_column"].items() if name.startswith("Price")]
        for kind in ("added", "changed", "removed"):
            assert sum(kinds.get(kind, 0) for kinds in prices) == counts[f"prices_{kind}"]
        plain = {name for fields in FIELDS.values() for field, name in fields.items() if not field.endswith("_id")}
        shown = {(e["column"], e["before"], e["after"]) for e in plan["sample"] if e["column"] in plain}
        assert shown <= did.shown()
        if len(plan["sample"]) < SAMPLE_SIZE:
            assert shown == did.shown()

    check()
