"""What rows of a file need of others far away from them, kept on disk so that memory does not grow with the file."""

import json
import sqlite3
from typing import Any

from batch_jobs.strategies.shop.layouts.layout import Row

_TABLES = """
    CREATE TABLE parent (line INTEGER PRIMARY KEY, id TEXT, sku TEXT, slug TEXT, cells TEXT);
    CREATE INDEX by_id ON parent (id);
    CREATE INDEX by_sku ON parent (sku);
    CREATE INDEX by_slug ON parent (slug, line);
    CREATE TABLE variation (reference TEXT, images TEXT);
"""


class Parents:
    """The products of a file by how its variations name them: a SKU, or ``id:`` and a number."""

    def __init__(self) -> None:
        # one thread after another reads, never two at once
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.executescript(_TABLES)
        self._indexed = False
        self._last: tuple[str, Row | None] | None = None

    def note(self, row: Row, number: str, sku: str, slug: str) -> None:
        """Keep a product."""
        values = (row.line, number, sku, slug, json.dumps(row.cells))
        self._database.execute("INSERT INTO parent VALUES (?, ?, ?, ?, ?)", values)

    def note_variation(self, reference: str, images: list[str]) -> None:
        """Keep that a product has a variation, and its images."""
        self._database.execute("INSERT INTO variation VALUES (?, ?)", (reference, json.dumps(images)))

    def find(self, reference: str) -> Row | None:
        """The product that a variation names; the last one is remembered, as variations often follow each other."""
        if self._last is None or self._last[0] != reference:
            column, value = ("id", reference[3:]) if reference.startswith("id:") else ("sku", reference)
            found = self._one(f"SELECT line, cells FROM parent WHERE {column} = ? AND {column} != ''", value)
            self._last = (reference, None if found is None else Row(found[0], json.loads(found[1])))
        return self._last[1]

    def has_variations(self, number: str, sku: str) -> bool:
        """Whether the file has a variation of a product."""
        self._index()
        return self._one("SELECT 1 FROM variation WHERE reference IN (?, ?)", *_references(number, sku)) is not None

    def images(self, number: str, sku: str) -> list[str]:
        """The images of a product's variations."""
        self._index()
        query = "SELECT images FROM variation WHERE reference IN (?, ?) ORDER BY rowid"
        found = self._database.execute(query, _references(number, sku))
        return [url for (images,) in found for url in json.loads(images)]

    def handle(self, line: int, slug: str, number: str) -> str | None:
        """A product's handle: its slug, with its number where an earlier product of the file has that."""
        taken = self._one("SELECT 1 FROM parent WHERE slug = ? AND line < ?", slug, line)
        return "-".join(filter(None, [slug, number if taken or not slug else ""])) or None

    def _index(self) -> None:
        if not self._indexed:
            self._database.execute("CREATE INDEX by_reference ON variation (reference)")
            self._indexed = True

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
        return found


def _references(number: str, sku: str) -> tuple[str, str]:
    # a product without a SKU has none that a variation could name
    return f"id:{number}", sku or f"id:{number}"
