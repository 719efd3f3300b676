"""What the products of a group change in the shop."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.shop.importing.headers import PRODUCT_FIELDS, ProductHeaders
from batch_jobs.strategies.shop.importing.planning import Changes, Origin
from batch_jobs.strategies.shop.importing.row_errors import Mask
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.medusa.ids import new_ids
from batch_jobs.strategies.shop.products.fields import FieldChanges, field_changes
from batch_jobs.strategies.shop.products.get_or_create import ValueTable, ValueTables
from batch_jobs.strategies.shop.products.links import (
    LinkChanges,
    LinkTable,
    link_changes,
    members_of_cells,
    members_of_lists,
    read_links,
    same_lists,
)
from batch_jobs.strategies.shop.products.matching import Matched, is_null
from batch_jobs.strategies.shop.products.references import References
from batch_jobs.strategies.shop.products.reporting import ProductReport
from batch_jobs.strategies.shop.state import Shop, StateReader, where, whole

IMAGES = LinkTable(tables.product_images, "image_id", tables.image, "url")
TAGS = LinkTable(tables.product_tags, "product_tag_id", tables.product_tag, "value")
CHANNELS = LinkTable(tables.product_sales_channel, "sales_channel_id", tables.sales_channel, "id")
CATEGORIES = LinkTable(tables.product_category_product, "product_category_id", tables.product_category, "id")


class ProductPlan:
    """Plans the changes of a group's products, and gives each its id.

    Args:
        state: reads the shop.
        matched: the group.
        references: what it refers to.
        value_tables: types, tags and images.
        changes: where the plan goes.
    """

    def __init__(
        self,
        state: StateReader,
        matched: Matched,
        references: References,
        value_tables: ValueTables,
        changes: Changes,
    ) -> None:
        self._state = state
        self._matched = matched
        self._references = references
        self._value_tables = value_tables
        self._changes = changes
        self._new = matched.is_new_product
        self.ids = with_new_ids(matched.known_product_ids, self._new, "prod")
        self._origin = Origin(self.ids, matched.products.lines_of_products)

    def plan(self, shop: Shop, headers: ProductHeaders) -> Mask:
        """Plan all changes; returns by product whether it is new or changed."""
        images, tags = self._images(), self._tags()
        channel_ids, category_ids = self._references.channel_ids, self._references.category_ids
        channels = self._referred(CHANNELS, channel_ids, np.full(self._matched.products.count, bool(channel_ids)))
        categories = self._referred(CATEGORIES, category_ids, self._references.sets_categories)
        fields = self._fields(images)
        changed = fields.changed | images.changed | tags.changed | channels.changed | categories.changed
        self._insert(fields)
        self._update(fields, changed)
        self._profiles(shop)
        self._link(IMAGES, images, self._value_tables.images)
        self._link(TAGS, tags, self._value_tables.tags)
        self._link(CHANNELS, channels, None)
        self._link(CATEGORIES, categories, None)
        self._count(changed)
        sets = [
            ("images", "Images", IMAGES, images),
            ("tags", "Product Tags", TAGS, tags),
            ("channels", "Sales Channels", CHANNELS, channels),
            ("categories", "Product Categories", CATEGORIES, categories),
        ]
        ProductReport(self._state, self._matched, self._changes).report(fields, sets, headers)
        return changed | self._new

    def _images(self) -> LinkChanges:
        cells = self._matched.products.images
        links, have = read_links(self._state, IMAGES, self._matched.known_product_ids if cells else _none())
        replaced = np.full(self._matched.products.count, bool(cells))
        return link_changes(links, have, members_of_cells(cells), replaced)

    def _tags(self) -> LinkChanges:
        cells = self._matched.products.products.get("tags")
        if cells is None:
            cells = pa.nulls(self._matched.products.count, pa.string())
        replaced = ~is_null(cells)
        links, have = read_links(
            self._state,
            TAGS,
            pc.if_else(pa.array(replaced), self._matched.known_product_ids, pa.scalar(None, pa.string())),
        )
        if pc.any(pc.match_substring(have.value, ",")).as_py():
            replaced &= ~same_lists(cells, have)
        return link_changes(links, have, members_of_lists(cells), replaced)

    def _referred(self, table: LinkTable, cells: list[pa.Array], replaced: Mask) -> LinkChanges:
        links, have = read_links(self._state, table, self._matched.known_product_ids if cells else _none())
        return link_changes(links, have, members_of_cells(cells), replaced)

    def _fields(self, images: LinkChanges) -> FieldChanges:
        given = self._matched.products.products
        values = {name: given[name] for name in PRODUCT_FIELDS.values() if name in given}
        state, at = self._matched.product_state, self._matched.product_at
        values["thumbnail"] = self._thumbnails(images)
        # Medusa: an empty type or collection leaves the product's own
        own_type, own_collection = (whole(state.column(name)).take(at) for name in ("type_id", "collection_id"))
        values["collection_id"] = pc.coalesce(
            self._references.collection_ids, self._remade_collections(), own_collection
        )
        values["type_id"] = pc.coalesce(self._types(), own_type)
        return field_changes(values, tables.product, state, at)

    def _types(self) -> pa.Array:
        words = self._matched.products.products.get("type")
        if words is None:
            return pa.nulls(self._matched.products.count, pa.string())
        return self._made(self._value_tables.types, words, "types_made")

    def _remade_collections(self) -> pa.Array:
        """Collections that were deleted, made anew by their handle and title where a product names them."""
        handles, titles = self._references.deleted_collections, self._references.deleted_titles
        if handles.null_count == len(handles):
            return handles
        found, new = self._value_tables.collections.ids(self._state, handles.drop_null())
        for rows, make in ((new.own, self._changes.make), (new.common, self._changes.make_in_common)):
            titles_of = pa.array([titles[handle] for handle in rows.column("handle").to_pylist()], pa.string())
            make(tables.product_collection, rows.append_column("title", titles_of))
        self._changes.tally.collections_made += self._value_tables.collections.newly_made(new)
        return pc.replace_with_mask(pa.nulls(len(handles), pa.string()), pc.is_valid(handles), found)

    def _made(self, table: ValueTable, words: pa.Array, counted: str) -> pa.Array:
        found, new = table.ids(self._state, words.drop_null())
        self._changes.make(table.table, new.own)
        self._changes.make_in_common(table.table, new.common)
        self._changes.tally.count(counted, table.newly_made(new))
        return pc.replace_with_mask(pa.nulls(len(words), pa.string()), pc.is_valid(words), found)

    def _thumbnails(self, images: LinkChanges) -> pa.Array:
        """Medusa: where the file gives none, the first image is the thumbnail.

        A product that has none either gets one only when its images change, so that an export comes back unchanged.
        """
        products = self._matched.products
        own = whole(self._matched.product_state.column("thumbnail")).take(self._matched.product_at)
        given = products.products.get("thumbnail", own)
        lacks = is_null(given) & (self._new | images.changed | ~is_null(own))
        if not lacks.any():
            return given
        first = pc.coalesce(*products.images) if products.images else self._first_own_images(lacks)
        return pc.if_else(pa.array(lacks), first, given)

    def _first_own_images(self, wanted: Mask) -> pa.Array:
        """By product, the first of the images that the shop has of it, where it is wanted."""
        known = pc.if_else(pa.array(wanted), self._matched.known_product_ids, pa.scalar(None, pa.string()))
        _, have = read_links(self._state, IMAGES, known)
        return have.value.take(where(pa.array(np.arange(len(known))), pa.array(have.product)))

    def _insert(self, fields: FieldChanges) -> None:
        new = pa.array(self._new)
        rows = {"id": self.ids.filter(new), **{name: values.filter(new) for name, values in fields.values.items()}}
        self._changes.insert(tables.product, pa.table(rows), self._origin.filter(new))

    def _update(self, fields: FieldChanges, changed: Mask) -> None:
        at = pa.array(np.flatnonzero(changed & ~self._new), pa.int64())
        rows = pa.table(
            {"row_id": self.ids.take(at), **{name: values.take(at) for name, values in fields.values.items()}}
        )
        self._changes.update(tables.product, rows, self._origin.take(at))

    def _profiles(self, shop: Shop) -> None:
        """Medusa: every new product gets the shop's default profile, whatever the file says."""
        if shop.default_profile is None:
            return
        is_new = pa.array(self._new)
        new = self.ids.filter(is_new)
        profile = pa.array([shop.default_profile] * len(new), pa.string())
        rows = pa.table({"profile_id": profile, "product_id": new})
        self._changes.insert(tables.product_shipping_profile, rows, self._origin.filter(is_new))

    def _link(self, table: LinkTable, links: LinkChanges, value_table: ValueTable | None) -> None:
        removed = links.remove.select(["product_id", "member_id"]).rename_columns(["product_id", table.member])
        of = where(whole(removed.column("product_id")), self.ids)
        self._changes.delete(table.links, removed, self._origin.take(of))
        members = links.add.value
        if value_table is not None:
            members, new = value_table.ids(self._state, links.add.value)
            self._changes.insert(value_table.table, new.own)
            self._changes.make_in_common(value_table.table, new.common)
            if table is TAGS:
                self._changes.tally.tags_made += value_table.newly_made(new)
        origin = self._origin.take(pa.array(links.add.product))
        self._changes.insert(table.links, pa.table({"product_id": origin.groups, table.member: members}), origin)

    def _count(self, changed: Mask) -> None:
        tally = self._changes.tally
        tally.products_created += int(self._new.sum())
        tally.products_updated += int((changed & ~self._new).sum())
        tally.products_unchanged += int((~changed & ~self._new).sum())


def with_new_ids(ids: pa.Array, new: Mask, prefix: str) -> pa.Array:
    """The ids, with new ones where they are missing."""
    return pc.replace_with_mask(ids, pa.array(new), new_ids(prefix, int(new.sum())))


def _none() -> pa.Array:
    return pa.nulls(0, pa.string())
