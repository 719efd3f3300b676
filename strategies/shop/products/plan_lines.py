"""What an import of products will do, in lines for people."""

from collections.abc import Iterator

from batch_jobs.strategies.shop.importing.planning import Tally

#: What a tally calls a set or a kind of row -> one of it and several.
_SETS = {"images": "images", "tags": "tags", "channels": "sales channels", "categories": "categories"}
_MADE = {
    "types": ("product type", "product types"),
    "tags": ("tag", "tags"),
    "collections": ("collection", "collections"),
}


def plan_lines(tally: Tally) -> Iterator[tuple[str, str, str]]:
    """Key, name and message of each line; what does not happen at all has none."""
    for what in ("created", "updated", "unchanged"):
        products, variants = getattr(tally, f"products_{what}"), getattr(tally, f"variants_{what}")
        message = f"{count(products, 'product', 'products')} and {count(variants, 'variant', 'variants')}"
        yield what, {"created": "To create", "updated": "To update"}.get(what, "Unchanged"), message
    if tally.prices_added or tally.prices_changed or tally.prices_removed:
        prices = f"{tally.prices_added} added, {tally.prices_changed} changed, {tally.prices_removed} removed"
        yield "prices", "Prices", prices
    for kind, name in _SETS.items():
        added, removed = getattr(tally, f"{kind}_added"), getattr(tally, f"{kind}_removed")
        if added or removed:
            yield kind, f"{name.capitalize()} of products", f"{added} added, {removed} removed"
    made = [count(number, *words) for kind, words in _MADE.items() if (number := getattr(tally, f"{kind}_made"))]
    if made:
        yield "made", "New", f"{', '.join(made)} will be made"
    if tally.variants_left_alone:
        variants = count(tally.variants_left_alone, "variant", "variants")
        yield "left-alone", "Not in the file", f"{variants} of these products; left as they are"
    if tally.categories_unknown:
        categories = count(tally.categories_unknown, "category", "categories")
        yield (
            "unknown",
            "Left out",
            f"{categories} of products that the shop does not have; make them first to take them",
        )
    if tally.cells_not_taken:
        cells = count(tally.cells_not_taken, "cell", "cells")
        yield "not-taken", "Not taken", f"{cells} of later rows differ from their product's first row, which counts"
    yield "reject", "To reject", f"{count(tally.rows_rejected, 'row', 'rows')} will be rejected"


def count(number: int, one: str, several: str) -> str:
    """A number of things."""
    return f"{number} {one if number == 1 else several}"
