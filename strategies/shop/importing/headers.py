"""Which column of a file is which: Medusa v1's names, those with a number or a currency in them included."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.databases.naming import shown

#: Medusa's name -> column of the table ``product``, for cells that are stored as they are.
PRODUCT_FIELDS = {
    "Product Handle": "handle",
    "Product Title": "title",
    "Product Subtitle": "subtitle",
    "Product Description": "description",
    "Product Status": "status",
    "Product Thumbnail": "thumbnail",
    "Product Weight": "weight",
    "Product Length": "length",
    "Product Width": "width",
    "Product Height": "height",
    "Product HS Code": "hs_code",
    "Product Origin Country": "origin_country",
    "Product MID Code": "mid_code",
    "Product Material": "material",
    "Product Discountable": "discountable",
    "Product External Id": "external_id",
}
#: Medusa's name -> column of the table ``product_variant``.
VARIANT_FIELDS = {
    "Variant Title": "title",
    "Variant SKU": "sku",
    "Variant Barcode": "barcode",
    "Variant Inventory Quantity": "inventory_quantity",
    "Variant Allow Backorder": "allow_backorder",
    "Variant Manage Inventory": "manage_inventory",
    "Variant Weight": "weight",
    "Variant Length": "length",
    "Variant Width": "width",
    "Variant Height": "height",
    "Variant HS Code": "hs_code",
    "Variant Origin Country": "origin_country",
    "Variant MID Code": "mid_code",
    "Variant Material": "material",
}
PRODUCT_ID, PRODUCT_HANDLE, VARIANT_ID, SKU, BARCODE = (
    "Product Id",
    "Product Handle",
    "Variant Id",
    "Variant SKU",
    "Variant Barcode",
)
COLLECTION, TYPE, TAGS = "Product Collection Handle", "Product Type", "Product Tags"
#: Read and left alone. Medusa: the title follows the handle, and the profile is always the shop's default one.
IGNORED = ("Product Collection Title", "Product Profile Name", "Product Profile Type")
FIXED = (PRODUCT_ID, VARIANT_ID, COLLECTION, TYPE, TAGS, *PRODUCT_FIELDS, *VARIANT_FIELDS, *IGNORED)

REGION_PRICE = re.compile(r"Price (.+) \[([A-Z]{3})\]")
CURRENCY_PRICE = re.compile(r"Price ([A-Z]{3})")
OPTION = re.compile(r"Option (\d+) (Name|Value)")
IMAGE = re.compile(r"Image (\d+) Url")
CHANNEL = re.compile(r"Sales Channel (\d+) (Id|Name|Description)")
CATEGORY = re.compile(r"Product Category (\d+) (Handle|Name|Description)")
#: The same, as people write them; and codes that Medusa's tables have and its files have not.
REGION_PRICE_ROUGHLY = re.compile(r"price (.+) \[([a-z]{3})\]", re.IGNORECASE)
CURRENCY_PRICE_ROUGHLY = re.compile(r"(?:variant )?price \[?\(?([a-z]{3})\)?\]?", re.IGNORECASE)
NO_COLUMN = re.compile(r"\b(ean|upc)\b", re.IGNORECASE)
#: What a name with a number in it looks like, for suggestions.
PATTERNED = (
    "Option 1 Name",
    "Option 1 Value",
    "Image 1 Url",
    "Sales Channel 1 Id",
    "Sales Channel 1 Name",
    "Product Category 1 Handle",
)


@dataclass(frozen=True)
class PriceHeader:
    """A price's column: ``region`` is the region's name, ``None`` for a price in a currency."""

    column: str
    currency: str
    region: str | None = None


@dataclass
class ProductHeaders:
    """The columns of a product file, each by its name in the file.

    ``fixed`` goes from Medusa's name to the file's; ``options`` are pairs of name and value; ``channels`` are the
    columns of an id and of a name by their number, ``categories`` those of a handle.
    """

    fixed: dict[str, str] = field(default_factory=dict)
    prices: list[PriceHeader] = field(default_factory=list)
    options: list[tuple[str, str]] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)


def read_product_headers(file: str, columns: Mapping[str, str]) -> ProductHeaders:
    """Find the columns of a product file.

    Args:
        file: its name, for errors.
        columns: what goes by which name -> its column among the rows.

    Raises:
        JobRefused: a column is unknown or lacks its partner; there is no Product Handle.
    """
    headers = ProductHeaders()
    options: dict[int, dict[str, str]] = {}
    images: dict[int, str] = {}
    channels: dict[int, dict[str, str]] = {}
    categories: dict[int, dict[str, str]] = {}
    unknown: list[str] = []
    for name, column in columns.items():
        if name in FIXED:
            headers.fixed[name] = column
        elif found := OPTION.fullmatch(name):
            options.setdefault(int(found[1]), {})[found[2]] = column
        elif found := IMAGE.fullmatch(name):
            images[int(found[1])] = column
        elif found := CHANNEL.fullmatch(name):
            channels.setdefault(int(found[1]), {})[found[2]] = column
        elif found := CATEGORY.fullmatch(name):
            categories.setdefault(int(found[1]), {})[found[2]] = column
        elif (price := price_header(column, name)) is not None:
            headers.prices.append(price)
        else:
            unknown.append(column)
    refuse_unknown(file, "a product file", unknown, [*FIXED, *PATTERNED])
    if PRODUCT_HANDLE not in headers.fixed:
        raise InputRefused(file, f"there is no column {PRODUCT_HANDLE}; it says which rows are one product")
    headers.options = [_pair(file, number, found) for number, found in sorted(options.items())]
    headers.images = [images[number] for number in sorted(images)]
    found_channels = (found for _, found in sorted(channels.items()))
    headers.channels = [[found[part] for part in ("Id", "Name") if part in found] for found in found_channels]
    headers.categories = [found["Handle"] for _, found in sorted(categories.items()) if "Handle" in found]
    return headers


def price_header(column: str, name: str) -> PriceHeader | None:
    """The price that a column of this name holds, ``None`` when it holds none."""
    if found := REGION_PRICE.fullmatch(name):
        return PriceHeader(column, found[2].lower(), found[1])
    if found := CURRENCY_PRICE.fullmatch(name):
        return PriceHeader(column, found[1].lower())
    return None


def refuse_unknown(file: str, kind: str, unknown: list[str], known: Iterable[str]) -> None:
    """Refuse columns that such a file does not have, naming the nearest one it has.

    Raises:
        InputRefused: there is one.
    """
    if not unknown:
        return
    raise InputRefused(
        file,
        f"{kind} has no column {shown(unknown)}; {_hint(unknown[0], list(known))}rename it, or leave it out with "
        f'columns {{"{unknown[0]}": null}}',
    )


def _hint(name: str, known: list[str]) -> str:
    if NO_COLUMN.search(name):
        return "Medusa's files have none for EAN and UPC; "
    near = _nearest(name, known)
    return f"did you mean {near}? " if near else ""


def _nearest(name: str, known: list[str]) -> str | None:
    words = " ".join(name.split())
    if price := REGION_PRICE_ROUGHLY.fullmatch(words):
        return f"Price {price[1]} [{price[2].upper()}]"
    if price := CURRENCY_PRICE_ROUGHLY.fullmatch(words):
        return f"Price {price[1].upper()}"
    by_lower = {own.lower(): own for own in known}
    # what is left out most is the word that says whose it is
    for wanted in (words.lower(), f"product {words.lower()}", f"variant {words.lower()}"):
        if wanted in by_lower:
            return by_lower[wanted]
    near = get_close_matches(words.lower(), by_lower, 1, 0.75)
    return by_lower[near[0]] if near else None


def _pair(file: str, number: int, found: dict[str, str]) -> tuple[str, str]:
    if len(found) < 2:
        (there,) = found
        lacking = "Value" if there == "Name" else "Name"
        raise InputRefused(file, f"there is a column Option {number} {there} and no Option {number} {lacking}")
    return found["Name"], found["Value"]
