"""A product file that asks for everything Medusa's import knows."""

import csv
import random
from pathlib import Path

STATUSES = ("draft", "proposed", "published", "rejected")
TAGS = ("sale", "éco", "XL", "new in", "漢字")
TEXTS = (
    "plain",
    "of 5; in a box, with lid",
    'a "quoted" word, and more',
    "two\nlines",
    "café 🎉 Ærø",
    "",
)
COLORS, SIZES = ("blå", "red", "green"), ("S", "M", "L")
PRODUCT = (
    "Product Handle", "Product Title", "Product Subtitle", "Product Description", "Product Status",
    "Product Thumbnail", "Product Weight", "Product Length", "Product Width", "Product Height", "Product HS Code",
    "Product Origin Country", "Product MID Code", "Product Material", "Product Collection Handle", "Product Type",
    "Product Tags", "Product Discountable", "Product External Id",
)  # fmt: skip
VARIANT = (
    "Variant Title", "Variant SKU", "Variant Barcode", "Variant Inventory Quantity", "Variant Allow Backorder",
    "Variant Manage Inventory", "Variant Weight", "Variant Length", "Variant Width", "Variant Height",
    "Variant HS Code", "Variant Origin Country", "Variant MID Code", "Variant Material",
)  # fmt: skip
PRICES = ("Price EUR", "Price JPY", "Price NA [USD]")
OPTIONS = ("Option 1 Name", "Option 1 Value", "Option 2 Name", "Option 2 Value")
IMAGES = ("Image 1 Url", "Image 2 Url", "Image 3 Url")
CHANNELS = ("Sales Channel 1 Name", "Sales Channel 2 Name")
CATEGORIES = ("Product Category 1 Handle", "Product Category 2 Handle")
COLUMNS = (*PRODUCT, *VARIANT, *PRICES, *OPTIONS, *IMAGES, *CHANNELS, *CATEGORIES)


def write_products(path: Path, count: int) -> Path:
    """Write a file of products with one to four variants each."""
    chance = random.Random(count)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter=";", lineterminator="\n")
        writer.writeheader()
        for number in range(count):
            product = _product(chance, number)
            pairs = [(size, color) for size in SIZES for color in COLORS]
            for rank, pair in enumerate(chance.sample(pairs, chance.randint(1, 4))):
                writer.writerow({**product, **_variant(chance, number, rank, pair)})
    return path


def _product(chance: random.Random, number: int) -> dict[str, object]:
    images = [f"http://images.example/{number}/{image}.png" for image in range(chance.randint(0, 3))]
    channels = chance.sample(["Default Sales Channel", "Web"], chance.randint(0, 2))
    categories = chance.sample(["kitchen", "gifts"], chance.randint(0, 2))
    return {
        "Product Handle": f"product-{number}",
        "Product Title": f"{chance.choice(('Hat', 'Økse', 'Boot'))} {number}",
        "Product Subtitle": chance.choice(TEXTS),
        "Product Description": f"{chance.choice(TEXTS)} {number}",
        "Product Status": STATUSES[number % 4],
        "Product Thumbnail": images[0] if images else f"http://images.example/{number}.png",
        **{f"Product {side}": _maybe(chance, chance.randint(1, 5_000)) for side in ("Weight", "Length", "Width")},
        "Product Height": number,
        "Product HS Code": _maybe(chance, f"00{number}"),
        "Product Origin Country": _maybe(chance, "dk"),
        "Product MID Code": _maybe(chance, f"MID {number}"),
        "Product Material": _maybe(chance, "wool, silk"),
        "Product Collection Handle": _maybe(chance, "summer"),
        "Product Type": _maybe(chance, f"type {number % 7}"),
        "Product Tags": ",".join(chance.sample(TAGS, chance.randint(0, 3))),
        "Product Discountable": chance.choice(("true", "false")),
        "Product External Id": _maybe(chance, f"external-{number}"),
        **dict(zip(IMAGES, images, strict=False)),
        **dict(zip(CHANNELS, channels, strict=False)),
        **dict(zip(CATEGORIES, categories, strict=False)),
    }


def _variant(chance: random.Random, number: int, rank: int, pair: tuple[str, str]) -> dict[str, object]:
    return {
        "Variant Title": " / ".join(pair),
        "Variant SKU": f"sku-{number:04d}-{rank}",
        "Variant Barcode": _maybe(chance, f"0{number:06d}{rank}"),
        "Variant Inventory Quantity": chance.randint(0, 500),
        "Variant Allow Backorder": chance.choice(("true", "false")),
        "Variant Manage Inventory": chance.choice(("true", "false")),
        **{f"Variant {side}": _maybe(chance, chance.randint(1, 900)) for side in ("Weight", "Length", "Width")},
        "Variant Height": rank,
        "Variant HS Code": _maybe(chance, "HS 12"),
        "Variant Origin Country": _maybe(chance, "us"),
        "Variant MID Code": _maybe(chance, "MID v"),
        "Variant Material": _maybe(chance, "silk"),
        "Price EUR": f"{chance.randint(1, 99_999) / 100:g}",
        "Price JPY": _maybe(chance, chance.randint(1, 99_999)),
        "Price NA [USD]": _maybe(chance, f"{chance.randint(1, 99_999) / 100:g}"),
        **dict(zip(OPTIONS, ("Size", pair[0], "Color", pair[1]), strict=True)),
    }


def _maybe(chance: random.Random, cell: object) -> object:
    return cell if chance.random() < 0.6 else ""
