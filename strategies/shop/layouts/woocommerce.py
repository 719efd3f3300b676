"""WooCommerce's product export: a parent's data on its own row, its variations anywhere in the file."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from batch_jobs.strategies.shop.layouts.layout import (
    Cells,
    Layout,
    Row,
    Rows,
    categories,
    numbered,
    slug,
    whole,
    with_point,
    words,
)
from batch_jobs.strategies.shop.layouts.parents import Parents

GRAMS = {"kg": "1000", "g": "1", "lbs": "453.59237", "lb": "453.59237", "oz": "28.349523125"}
STATUSES = {"1": "published", "0": "draft", "-1": "draft", "true": "published", "false": "draft"}
BACKORDERS = {"0": "false", "1": "true", "notify": "true", "no": "false", "yes": "true", "": "false"}
SIZES = ("Length", "Width", "Height")
#: Between two categories; one that has a comma in its name is written with a backslash before it.
_NEXT_CATEGORY = re.compile(r"(?<!\\),")
#: Between two images; a url may have a comma in it.
_NEXT_IMAGE = re.compile(r",\s+|,(?=https?://)")
_MEASURE = re.compile(r"(weight|length|width|height) \((.+)\)")


class WooCommerce(Layout):
    """WooCommerce's product CSV with English headers."""

    name: ClassVar[str] = "woocommerce"
    needed: ClassVar[tuple[str, ...]] = ("Name", "Type", "Regular price")
    marks: ClassVar[tuple[tuple[str, ...], ...]] = (("Name", "Type", "Regular price"),)
    read: ClassVar[dict[str, tuple[str, ...]]] = {
        "Product Handle": ("Name",),
        "Product Title": ("Name",),
        "Product Subtitle": ("Short description",),
        "Product Description": ("Description",),
        "Product Status": ("Published",),
        "Product Tags": ("Tags",),
        "Product External Id": ("ID",),
        "Product Category Handle": ("Categories",),
        "Kind": ("Type", "Parent", "In stock?"),
        "Image Url": ("Images",),
        "Option Name": ("Attribute {} name",),
        "Option Value": ("Attribute {} value(s)",),
        "Variant Title": ("Name",),
        "Variant SKU": ("SKU",),
        "Variant Barcode": ("GTIN, UPC, EAN, or ISBN",),
        "Variant Inventory Quantity": ("Stock",),
        "Variant Manage Inventory": ("Stock",),
        "Variant Allow Backorder": ("Backorders allowed?",),
        "Price": ("Regular price",),
    }

    def __init__(self, file: str, columns: list[str], currency: str) -> None:
        super().__init__(file, columns, currency)
        self._parents = Parents()
        found = {match[1].title(): (column, match[2]) for column in columns if (match := _match(column))}
        self._sizes = {size: found[size][0] for size in SIZES if size in found}
        self._weight, unit = found.get("Weight", ("", ""))
        self._grams = GRAMS.get(unit)
        self._attributes = [number for number in range(1, len(columns)) if self.column(f"Attribute {number} name")]

    def heeded(self) -> set[str]:
        """The file's columns that are not left out."""
        return super().heeded() | set(self._sizes.values()) | ({self._weight} if self._grams else set())

    def prepare(self, rows: Rows) -> None:
        """Note the parents, and what variations have for them."""
        for row in rows():
            kinds = self._kinds(row)
            if row.error is not None:
                continue
            if "variation" in kinds:
                self._parents.note_variation(self._read(row, "Parent"), self._images(row))
            else:
                self._parents.note(row, self._read(row, "ID"), self._read(row, "SKU"), slug(self._read(row, "Name")))

    def convert(self, rows: Iterator[Row], notes: Counter[str]) -> Iterator[Row]:
        """The simple products and the variations, each with its product's cells."""
        for row in rows:
            kinds = self._kinds(row)
            if row.error is not None:
                yield row
            elif "variation" in kinds:
                yield self._variation(row, notes)
            elif kinds & {"grouped", "external"}:
                yield row.refused(f"a {self._read(row, 'Type')} product has no counterpart in Medusa")
            elif any(kind.startswith("variable") for kind in kinds):
                if not self._parents.has_variations(self._read(row, "ID"), self._read(row, "SKU")):
                    yield row.refused("the file has no variations of this product, so there is nothing to sell")
            else:
                yield self._simple(row, notes)

    def _variation(self, row: Row, notes: Counter[str]) -> Row:
        reference = self._read(row, "Parent")
        parent = self._parents.find(reference)
        if parent is None:
            return row.refused(f"its parent {reference} is not in this file; load the whole export again")
        notes["variations that are not published, which come along all the same"] += (
            STATUSES.get(self._read(row, "Published"), "published") != "published"
        )
        values = {number: self._read(row, f"Attribute {number} value(s)") for number in self._attributes}
        cells: Cells = {"Variant Title": " / ".join(filter(None, values.values())) or self._read(row, "Name")}
        for number, value in values.items():
            cells[f"Option {number} Name"] = self._read(row, f"Attribute {number} name") or None
            cells[f"Option {number} Value"] = value or None
        return replace(row, made={**self._product_cells(parent), **cells, **self._variant_cells(row, parent, notes)})

    def _simple(self, row: Row, notes: Counter[str]) -> Row:
        notes["attributes that are no options, which are left out"] += sum(
            bool(self._read(row, f"Attribute {number} name")) for number in self._attributes
        )
        options: Cells = {}
        for number in self._attributes:
            options |= {f"Option {number} Name": None, f"Option {number} Value": None}
        cells: Cells = {"Variant Title": "Default", **options, **self._variant_cells(row, row, notes)}
        return replace(row, made={**self._product_cells(row), **cells})

    def _product_cells(self, row: Row) -> Cells:
        name, number = self._read(row, "Name"), self._read(row, "ID")
        cells: Cells = {
            "Product Handle": self._parents.handle(row.line, slug(name), number),
            "Product Title": name or None,
            "Product Status": STATUSES.get(self._read(row, "Published").lower(), self._read(row, "Published")) or None,
        }
        for target in ("Product Subtitle", "Product Description"):
            if self.column(*self.read[target]):
                cells[target] = _unescaped(self._read(row, *self.read[target])) or None
        if self.column("Tags"):
            cells["Product Tags"] = ",".join(words(self._read(row, "Tags"))) or None
        if self.column("ID"):
            cells["Product External Id"] = number or None
        cells |= categories([path.replace("\\,", ",") for path in _NEXT_CATEGORY.split(self._read(row, "Categories"))])
        of_variations = self._parents.images(number, self._read(row, "SKU"))
        return {**cells, **numbered("Image {} Url", list(dict.fromkeys([*self._images(row), *of_variations])))}

    def _variant_cells(self, row: Row, product: Row, notes: Counter[str]) -> Cells:
        cells: Cells = {self.price: with_point(self._read(row, "Regular price")) or None}
        for target in ("Variant SKU", "Variant Barcode"):
            if self.column(*self.read[target]):
                cells[target] = self._read(row, *self.read[target]) or None
        backorders = self._read(row, "Backorders allowed?")
        cells["Variant Allow Backorder"] = BACKORDERS.get(backorders.lower(), backorders)
        cells |= self._stock(row, product, notes)
        notes["sale prices, which are left out"] += bool(self._read(row, "Sale price"))
        if self._grams:
            weight = self._own(row, product, self._weight)
            cells["Variant Weight"] = whole(weight, self._grams, notes, "weights that are rounded to whole grams")
        for size, column in self._sizes.items():
            measure = self._own(row, product, column)
            cells[f"Variant {size}"] = whole(measure, "1", notes, "sizes that are rounded to whole units")
        return cells

    def _stock(self, row: Row, product: Row, notes: Counter[str]) -> Cells:
        """A stock that is not kept is sold without end, unless it is said to be sold out."""
        stock = self._read(row, "Stock")
        if stock.lower() == "parent":
            stock = self._read(product, "Stock")
            notes["variations that share their parent's stock, which each of them gets"] += 1
        sold_out = self._read(row, "In stock?").lower() in ("0", "no", "false")
        notes["variants without a stock, which get 0"] += not stock
        return {
            "Variant Inventory Quantity": with_point(stock).removesuffix(".0") or "0",
            "Variant Manage Inventory": "true" if stock or sold_out else "false",
        }

    def _own(self, row: Row, product: Row, column: str) -> str:
        return self._read(row, column) or self._read(product, column)

    def _images(self, row: Row) -> list[str]:
        return [url for url in map(str.strip, _NEXT_IMAGE.split(self._read(row, "Images"))) if url]

    def _kinds(self, row: Row) -> set[str]:
        return set(words(self._read(row, "Type").lower()))

    def _read(self, row: Row, *names: str) -> str:
        return self.cell(row, *names)


def _match(column: str) -> re.Match[str] | None:
    return _MEASURE.fullmatch(column.strip().lower())


def _unescaped(text: str) -> str:
    r"""WooCommerce writes a line's end as ``\n``, and that itself with one more backslash."""
    return "\\n".join(part.replace("\\n", "\n") for part in text.split("\\\\n"))
