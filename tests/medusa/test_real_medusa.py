"""Our jobs on the database of a real Medusa v1, read by Medusa itself."""

import csv
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.command_line import CommandLine
from support.medusa import Imported, Medusa, Upgrade
from support.product_file import CATEGORIES, CHANNELS, IMAGES, OPTIONS, PRICES, PRODUCT, VARIANT
from support.servers import wait_until

pytestmark = pytest.mark.medusa

Row = dict[str, str]
PRODUCTS = 1_000
RELATIONS = (
    "variants,variants.prices,variants.options,options,images,tags,type,collection,sales_channels,categories,profiles"
)
#: The tables of Medusa's that an import of new products fills.
FILLED = {
    "product", "product_variant", "product_option", "product_option_value", "product_type", "product_tag",
    "product_tags", "image", "product_images", "product_sales_channel", "product_shipping_profile",
    "product_category_product", "money_amount", "product_variant_money_amount",
}  # fmt: skip
#: File's column -> field of Medusa's answer, for cells that say the same in both.
TEXTS = {
    "Title": "title", "HS Code": "hs_code", "Origin Country": "origin_country", "MID Code": "mid_code",
    "Material": "material",
}  # fmt: skip
NUMBERS = {"Weight": "weight", "Length": "length", "Width": "width", "Height": "height"}
PRODUCT_TEXTS = {
    **TEXTS, "Handle": "handle", "Subtitle": "subtitle", "Description": "description", "Status": "status",
    "Thumbnail": "thumbnail", "External Id": "external_id",
}  # fmt: skip


def read(text: str) -> list[Row]:
    return list(csv.DictReader(text.splitlines(keepends=True), delimiter=";"))


@pytest.fixture(scope="session")
def rows(imported: Imported) -> list[Row]:
    """The file's rows."""
    return read(imported.path.read_text())


@pytest.fixture(scope="session")
def exported(medusa: Medusa, imported: Imported) -> str:
    """The file that Medusa's own job exports."""
    created = medusa.admin.post("/batch-jobs", json={"type": "product-export", "context": {}, "dry_run": False})
    assert created.status_code == 201, created.text
    job: dict[str, Any] = created.json()["batch_job"]

    def ended() -> bool:
        job.update(medusa.admin.get(f"/batch-jobs/{job['id']}").json()["batch_job"])
        return job["status"] in ("completed", "failed")

    wait_until(ended, 120, "the end of Medusa's export")
    assert job["status"] == "completed", job["result"]
    assert job["result"]["count"] == PRODUCTS
    link = medusa.admin.post("/uploads/download-url", json={"file_key": job["result"]["file_key"]}).json()
    return httpx.get(link["download_url"]).content.decode()


#: Ours, beside Medusa's own batch_job.
OWN = ("batch_job_change", "batch_job_checkpoint", "batch_job_partition")


def test_an_upgrade_adds_our_own_tables_and_alters_nothing_else(upgrade: Upgrade):
    added = {entry for entry in upgrade.after if str(entry[0]).startswith(OWN)}
    assert added
    assert upgrade.after - added == upgrade.before
    assert len({entry[0] for entry in upgrade.before if entry[1] == "content"}) >= 100


def test_the_job_created_every_product_and_variant(imported: Imported, rows: list[Row]):
    assert (imported.result["created"], imported.result["rejected"]) == (PRODUCTS + len(rows), 0)


def test_the_job_filled_the_tables_of_products_and_touched_nothing_else(upgrade: Upgrade, imported: Imported):
    changed = {entry[:2] for entry in imported.after - upgrade.after}
    assert {entry for entry in changed if not str(entry[0]).startswith(OWN)} == {(table, "content") for table in FILLED}
    assert {entry[:2] for entry in upgrade.after - imported.after} <= changed


def test_medusa_lists_every_product(medusa: Medusa, rows: list[Row]):
    found: list[str] = []
    for offset in range(0, PRODUCTS, 250):
        query = {"limit": 250, "offset": offset, "fields": "handle", "expand": "tags", "order": "handle"}
        page = medusa.admin.get("/products", params=query).json()
        assert page["count"] == PRODUCTS
        found += [product["handle"] for product in page["products"]]
    assert found == sorted({row["Product Handle"] for row in rows})


@pytest.mark.parametrize("number", [0, 1, 2, 3, 498, 499, 500, 996, 997, 998, 999])
def test_medusa_answers_with_what_the_file_says(medusa: Medusa, rows: list[Row], number: int):
    query = {"handle": f"product-{number}", "expand": RELATIONS}
    (product,) = medusa.admin.get("/products", params=query).json()["products"]
    of_product = [row for row in rows if row["Product Handle"] == f"product-{number}"]
    regions = {region["id"]: region["name"] for region in medusa.admin.get("/regions").json()["regions"]}
    assert seen(product, regions) == said(of_product)
    assert [profile["type"] for profile in product["profiles"]] == ["default"]


def seen(product: dict[str, Any], regions: dict[str, str]) -> dict[str, Any]:
    """What Medusa answers of a product, without ids and times."""
    titles = {option["id"]: option["title"] for option in product["options"]}
    return {
        **{name: product[name] for name in (*PRODUCT_TEXTS.values(), *NUMBERS.values(), "discountable")},
        "collection": product["collection"] and product["collection"]["handle"],
        "type": product["type"] and product["type"]["value"],
        "tags": {tag["value"] for tag in product["tags"]},
        "images": {image["url"] for image in product["images"]},
        "channels": {channel["name"] for channel in product["sales_channels"]},
        "categories": {category["handle"] for category in product["categories"]},
        "variants": [
            {
                **{name: variant[name] for name in (*TEXTS.values(), *NUMBERS.values(), "sku", "barcode")},
                **{name: variant[name] for name in ("inventory_quantity", "allow_backorder", "manage_inventory")},
                "options": {titles[option["option_id"]]: option["value"] for option in variant["options"]},
                "prices": {
                    (price["currency_code"], regions.get(price["region_id"])): price["amount"]
                    for price in variant["prices"]
                },
            }
            for variant in sorted(product["variants"], key=lambda variant: variant["variant_rank"])
        ],
    }


def said(rows: list[Row]) -> dict[str, Any]:
    """What the file says of a product."""
    row = rows[0]
    return {
        **{field: row[f"Product {name}"] or None for name, field in PRODUCT_TEXTS.items()},
        **{field: whole(row[f"Product {name}"]) for name, field in NUMBERS.items()},
        "discountable": row["Product Discountable"] == "true",
        "collection": row["Product Collection Handle"] or None,
        "type": row["Product Type"] or None,
        "tags": cells(row["Product Tags"].split(",")),
        "images": cells(row[name] for name in IMAGES),
        "channels": cells(row[name] for name in CHANNELS),
        "categories": cells(row[name] for name in CATEGORIES),
        "variants": [
            {
                **{field: row[f"Variant {name}"] or None for name, field in TEXTS.items()},
                **{field: whole(row[f"Variant {name}"]) for name, field in NUMBERS.items()},
                "sku": row["Variant SKU"] or None,
                "barcode": row["Variant Barcode"] or None,
                "inventory_quantity": whole(row["Variant Inventory Quantity"]),
                "allow_backorder": row["Variant Allow Backorder"] == "true",
                "manage_inventory": row["Variant Manage Inventory"] == "true",
                "options": options(row),
                "prices": prices(row),
            }
            for row in rows
        ],
    }


def whole(cell: str) -> int | None:
    return int(cell) if cell else None


def cells(given: Any) -> set[str]:
    return set(given) - {""}


def options(row: Row) -> dict[str, str]:
    return {row[OPTIONS[0]]: row[OPTIONS[1]], row[OPTIONS[2]]: row[OPTIONS[3]]}


def prices(row: Row) -> dict[tuple[str, str | None], int]:
    """Currency and region -> minor units, of which the yen has none."""
    kinds = {"Price EUR": ("eur", None, 100), "Price JPY": ("jpy", None, 1), "Price NA [USD]": ("usd", "NA", 100)}
    return {kinds[name][:2]: round(float(row[name]) * kinds[name][2]) for name in PRICES if row[name]}


def test_medusas_own_export_has_the_file_that_was_imported(exported: str, rows: list[Row]):
    found = read(exported)
    assert {told["Variant SKU"]: comparable(told, "Sales Channel {} Id") for told in found} == {
        row["Variant SKU"]: comparable(row, "Sales Channel {} Name") for row in rows
    }
    assert len(found) == len(rows)


def comparable(row: Row, channel: str) -> dict[str, Any]:
    """A row without what no order is kept of. Medusa writes a channel's name where its id belongs."""
    same = [name for name in (*PRODUCT, *VARIANT, *PRICES) if name != "Product Tags"]
    return {
        **{name: row[name] for name in same},
        "tags": cells(row["Product Tags"].split(",")),
        "options": options(row),
        "images": cells(row[name] for name in IMAGES),
        "channels": cells(row[channel.format(number)] for number in (1, 2)),
        "categories": cells(row[name] for name in CATEGORIES),
    }


def test_our_export_of_medusas_database_imports_as_unchanged(imported: Imported, batch_jobs: CommandLine):
    export = batch_jobs("run", "product-export", "--json").json["result"]
    again = batch_jobs("run", "product-import", "-c", f"file_key={export['file_key']}", "--json").json["result"]
    assert again["unchanged"] == again["count"] == imported.result["count"]


def test_after_an_undo_medusa_answers_what_it_answered_before(
    medusa: Medusa, imported: Imported, batch_jobs: CommandLine, tmp_path: Path
):
    before = answers(medusa)
    done = batch_jobs("run", "product-import", "-c", f"file_key=@{changed(imported.path, tmp_path)}", "--json")
    assert done.code == 0, done.err
    result = done.json["result"]
    assert result["created"] > PRODUCTS // 2
    assert result["updated"] > PRODUCTS // 2
    assert result["rejected"] == 0
    assert answers(medusa) != before

    undone = batch_jobs("undo", done.json["id"], "--yes", "--json")

    assert undone.code == 0, undone.err
    assert undone.json["result"]["rejected"] == 0
    assert answers(medusa) == before


def changed(path: Path, folder: Path) -> Path:
    """A file of half of the products with other titles, tags and prices, and of as many new ones."""
    rows = [row for row in read(path.read_text()) if int(row["Product Handle"].removeprefix("product-")) % 2]
    for row in rows:
        row |= {
            "Product Title": f"Other {row['Product Title']}",
            "Product Tags": "sale,undone",
            "Product Type": "undone",
        }
        row |= {price: row[price] and "77" for price in PRICES}
    new = [
        {**row, "Product Handle": f"new-{row['Product Handle']}", "Variant SKU": f"new {row['Variant SKU']}"}
        | {"Variant Barcode": "", "Image 1 Url": "http://images.example/new.png"}
        for row in rows
    ]
    with (folder / "changed.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, *new])
    return folder / "changed.csv"


def answers(medusa: Medusa) -> list[Any]:
    """What Medusa's Admin API answers of its catalogue, ids and times included; sets in an order of their own."""
    found = [medusa.admin.get(f"/{name}", params={"limit": 1000}).json() for name in ("product-types", "product-tags")]
    for offset in range(0, 4 * PRODUCTS, 250):
        query: dict[str, Any] = {"limit": 250, "offset": offset, "expand": RELATIONS, "order": "handle"}
        found.append(medusa.admin.get("/products", params=query).json())
    return [in_order(answer) for answer in found]


def in_order(value: Any) -> Any:
    """The same with the members of every list in the order of their texts."""
    if isinstance(value, dict):
        return {name: in_order(one) for name, one in value.items()}
    return sorted(map(in_order, value), key=repr) if isinstance(value, list) else value
