"""Shopify's product export: a product's data on its first row, its further images on rows of their own."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import ClassVar

from batch_jobs.strategies.shop.layouts.layout import Cells, Layout, Row, categories, numbered, whole, words

OPTIONS = (1, 2, 3)
STATUSES = {"active": "published", "draft": "draft", "archived": "draft"}
BACKORDERS = {"deny": "false", "continue": "true", "": "false", "false": "false", "true": "true"}


class Shopify(Layout):
    """Shopify's product CSV, the older headers (``Handle``) and the newer ones (``URL handle``)."""

    name: ClassVar[str] = "shopify"
    needed: ClassVar[tuple[str, ...]] = ("Title",)
    #: A price tells it from Shopify's file of stocks.
    marks: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("Title", "Vendor", "Option1 Value"),
        ("Title", "Handle", "Option1 Value", "Variant Price"),
        ("Title", "URL handle", "Option1 Value", "Price"),
    )
    read: ClassVar[dict[str, tuple[str, ...]]] = {
        "Product Handle": ("Handle", "URL handle"),
        "Product Title": ("Title",),
        "Product Description": ("Body (HTML)", "Description"),
        "Product Status": ("Status",),
        "Published": ("Published", "Published on online store"),
        "Product Type": ("Type",),
        "Product Tags": ("Tags",),
        "Product Category Handle": ("Product Category", "Product category"),
        "Image Url": ("Image Src", "Product image URL"),
        "Image Position": ("Image Position",),
        "Variant Image": ("Variant Image", "Variant image URL"),
        "Option Name": ("Option{} Name",),
        "Option Value": ("Option{} Value",),
        "Variant Title": ("Option1 Value",),
        "Variant SKU": ("Variant SKU", "SKU"),
        "Variant Barcode": ("Variant Barcode", "Barcode"),
        "Variant Weight": ("Variant Grams", "Weight value (grams)"),
        "Variant Inventory Quantity": ("Variant Inventory Qty", "Inventory quantity"),
        "Variant Manage Inventory": ("Variant Inventory Tracker", "Inventory tracker"),
        "Variant Allow Backorder": ("Variant Inventory Policy", "Continue selling when out of stock"),
        "Price": ("Variant Price", "Price"),
    }

    def convert(self, rows: Iterator[Row], notes: Counter[str]) -> Iterator[Row]:
        """The variants; product by product, whose rows follow each other."""
        for _, product in groupby(rows, key=lambda row: self._read(row, "Product Handle")):
            yield from self._product(list(product), notes)

    def _product(self, rows: list[Row], notes: Counter[str]) -> Iterator[Row]:
        whole_rows = [row for row in rows if row.error is None]
        product = self._product_cells(whole_rows, notes)
        names = {number: self._first(whole_rows, f"Option{number} Name") for number in OPTIONS}
        for row in self._variants(rows):
            if row.error is None:
                yield replace(row, made={**product, **self._variant_cells(row, names, notes)})
            else:
                yield replace(row, made={"Product Handle": product["Product Handle"]})

    def _variants(self, rows: list[Row]) -> list[Row]:
        """The rows that are more than an image; such images join the row before, so that a rejects file has them."""
        column = self.column(*self.read["Image Url"]) or ""
        found: list[Row] = []
        for row in rows:
            last = found[-1] if found else None
            if last is None or last.error is not None or not self._is_image(row):
                found.append(row)
                continue
            images = [*_lines(last.cells.get(column)), *_lines(row.cells.get(column))]
            found[-1] = replace(last, cells={**last.cells, column: "\n".join(images)})
        return found

    def _is_image(self, row: Row) -> bool:
        options = [(f"Option{number} Value",) for number in OPTIONS]
        of_variants = [*options, *(self.read[target] for target in ("Variant SKU", "Variant Barcode", "Price"))]
        return (
            row.error is None
            and bool(self._read(row, "Image Url"))
            and not any(self.cell(row, *names) for names in of_variants)
        )

    def _product_cells(self, rows: list[Row], notes: Counter[str]) -> Cells:
        def first(target: str) -> str | None:
            return self._first(rows, *self.read[target]) or None

        cells: Cells = {
            name: first(name)
            for name in ("Product Handle", "Product Title", "Product Description", "Product Type")
            if self.column(*self.read[name])
        }
        cells.setdefault("Product Handle", None)
        if self.column(*self.read["Product Tags"]):
            cells["Product Tags"] = ",".join(words(first("Product Tags") or "")) or None
        cells |= categories([first("Product Category Handle") or ""])
        cells["Product Status"] = self._status(first("Product Status"), first("Published"), notes)
        images = self._images(rows)
        return {**cells, **numbered("Image {} Url", images)}

    def _status(self, status: str | None, published: str | None, notes: Counter[str]) -> str | None:
        hidden = (published or "").lower() == "false"
        notes["archived products, which become drafts"] += (status or "").lower() == "archived"
        if status is None:
            return "draft" if hidden else "published" if published else None
        found = STATUSES.get(status.lower(), status)
        if found == "published" and hidden:
            notes["active products that are not in the online shop, which become drafts"] += 1
            return "draft"
        return found

    def _images(self, rows: list[Row]) -> list[str]:
        placed = []
        for number, row in enumerate(rows):
            position = self.cell(row, *self.read["Image Position"])
            place = int(position) if position.isdecimal() else len(rows) + number
            placed += [(place, url) for url in _lines(self.cell(row, *self.read["Image Url"]))]
        placed.sort(key=lambda found: found[0])
        of_variants = [self.cell(row, *self.read["Variant Image"]) for row in rows]
        return list(dict.fromkeys(url for url in [*(url for _, url in placed), *of_variants] if url))

    def _variant_cells(self, row: Row, names: dict[int, str], notes: Counter[str]) -> Cells:
        values = {number: self.cell(row, f"Option{number} Value") for number in OPTIONS}
        cells: Cells = {"Variant Title": " / ".join(filter(None, values.values())) or "Default Title"}
        for number in OPTIONS:
            if self.column(f"Option{number} Value"):
                has = bool(values[number])
                cells[f"Option {number} Name"] = (names[number] or None) if has else None
                cells[f"Option {number} Value"] = values[number] or None
        for target in ("Variant SKU", "Variant Barcode"):
            if self.column(*self.read[target]):
                cells[target] = self._read(row, target).removeprefix("'") or None
        if self.column(*self.read["Variant Weight"]):
            grams = self._read(row, "Variant Weight")
            cells["Variant Weight"] = whole(grams, "1", notes, "weights that are rounded to whole grams")
        policy = self._read(row, "Variant Allow Backorder")
        cells["Variant Allow Backorder"] = BACKORDERS.get(policy.lower(), policy)
        cells["Variant Manage Inventory"] = "true" if self._read(row, "Variant Manage Inventory") else "false"
        quantity = self._read(row, "Variant Inventory Quantity")
        notes["variants without a stock, which get 0"] += not quantity
        cells["Variant Inventory Quantity"] = quantity or "0"
        cells[self.price] = self._read(row, "Price").removeprefix("'") or None
        notes["prices before a reduction, which are left out"] += bool(
            self.cell(row, "Variant Compare At Price", "Compare-at price")
        )
        notes["gift cards, which become products like others"] += self.cell(row, "Gift Card").lower() == "true"
        return cells

    def _read(self, row: Row, target: str) -> str:
        return self.cell(row, *self.read[target])

    def _first(self, rows: list[Row], *names: str) -> str:
        return next((found for row in rows if (found := self.cell(row, *names))), "")


def _lines(cell: str | None) -> list[str]:
    """Urls; of a row in a rejects file, also those of the rows that were only an image."""
    return (cell or "").split()
