"""What a preview reports of products that change: counts by column, and the first changes."""

import numpy as np
import pyarrow as pa
from sqlalchemy import Table

from batch_jobs.strategies.shop.importing.headers import COLLECTION, PRODUCT_FIELDS, TYPE, ProductHeaders
from batch_jobs.strategies.shop.importing.planning import SAMPLE_SIZE, Changes
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.products.fields import FieldChanges
from batch_jobs.strategies.shop.products.links import LinkChanges, LinkTable
from batch_jobs.strategies.shop.products.matching import Matched, is_null
from batch_jobs.strategies.shop.state import StateReader

#: What the tally calls a set, what people call it, its tables, and what becomes of it.
SetChanges = tuple[str, str, LinkTable, LinkChanges]
#: Fields that are ids -> the column of the file that gives their word, and where the ids of the shop have it.
_BY_WORD: dict[str, tuple[str, Table, str]] = {
    "type_id": (TYPE, tables.product_type, "value"),
    "collection_id": (COLLECTION, tables.product_collection, "handle"),
}
#: Tables whose members are known by their id -> the column that people know.
_NAMES = {"sales_channel": "name", "product_category": "handle"}


class ProductReport:
    """Reports the changes of a group's products.

    Args:
        state: reads the shop.
        matched: the group.
        changes: has tally and sample.
    """

    def __init__(self, state: StateReader, matched: Matched, changes: Changes) -> None:
        self._state = state
        self._matched = matched
        self._changes = changes

    def report(self, fields: FieldChanges, sets: list[SetChanges], headers: ProductHeaders) -> None:
        """Count all changes, and show the first ones."""
        names = {field: headers.fixed.get(name, name) for name, field in PRODUCT_FIELDS.items()}
        names |= {field: headers.fixed.get(name, name) for field, (name, _, _) in _BY_WORD.items()}
        count_fields(self._changes, fields, names)
        for kind, name, _, links in sets:
            added, removed = len(links.add.product), links.remove.num_rows
            self._changes.tally.count(f"{kind}_added", added)
            self._changes.tally.count(f"{kind}_removed", removed)
            self._changes.tally.count_column(name, added=added, removed=removed)
        changed = ~self._matched.is_new_product & np.logical_or.reduce([fields.changed, *(s[3].changed for s in sets)])
        for product in np.flatnonzero(changed)[:SAMPLE_SIZE].tolist():
            self._show_fields(product, fields, names)
            for _, name, table, links in sets:
                if links.changed[product]:
                    self._show_set(product, name, table, links)
            if len(self._changes.sample) >= SAMPLE_SIZE:
                return

    def _show_fields(self, product: int, fields: FieldChanges, names: dict[str, str]) -> None:
        for field in [field for field, different in fields.differs.items() if different[product]]:
            before, after = fields.before[field][product].as_py(), fields.values[field][product].as_py()
            if field in _BY_WORD:
                before, after = self._before(field, before), self._given(field, product)
            self._show(product, names[field], before, after)

    def _before(self, field: str, row_id: str | None) -> str | None:
        _, table, column = _BY_WORD[field]
        deleted = "CASE WHEN deleted_at IS NOT NULL THEN 'yes' END"
        found = self._state.texts(
            f"SELECT {column} AS word, {deleted} AS deleted FROM {table.name} "
            f"WHERE {self._state.among('id', pa.array([row_id], pa.string()))}",
            "word", "deleted",
        ).to_pylist()  # fmt: skip
        return f"{found[0]['word']}{' (deleted)' if found[0]['deleted'] else ''}" if found else row_id

    def _given(self, field: str, product: int) -> str | None:
        word: str | None = self._matched.products.products[field.removesuffix("_id")][product].as_py()
        return word

    def _show_set(self, product: int, name: str, table: LinkTable, links: LinkChanges) -> None:
        before, after = links.before.of(product), links.after.of(product)
        if (column := _NAMES.get(table.members.name)) is not None:
            ids = pa.array([*before, *after], pa.string())
            query = f"SELECT id, {column} AS name FROM {table.members.name} WHERE {self._state.among('id', ids)}"
            known = {row["id"]: row["name"] for row in self._state.texts(query, "id", "name").to_pylist()}
            before, after = ([known.get(member, member) for member in members] for members in (before, after))
        self._show(product, name, ", ".join(before) or None, ", ".join(after) or None)

    def _show(self, product: int, column: str, before: object, after: object) -> None:
        products = self._matched.products
        key = {"Product Handle": products.products["handle"][product].as_py()}
        texts = (None if value is None else str(value) for value in (before, after))
        self._changes.show(products.line_of_product(product), key, column, *texts)


def count_fields(changes: Changes, fields: FieldChanges, names: dict[str, str]) -> None:
    """Count by column the fields that change, and those of them that have no value any more."""
    for field, different in fields.differs.items():
        emptied = different & is_null(fields.values[field])
        changes.tally.count_column(names[field], changed=int(different.sum()), emptied=int(emptied.sum()))
