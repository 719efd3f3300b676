"""Sets that belong to products, such as their tags: which links are to be made, and which to be taken away."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Table

from batch_jobs.strategies.shop.importing.row_errors import Mask
from batch_jobs.strategies.shop.products.matching import is_null, repeated
from batch_jobs.strategies.shop.state import StateReader, joined, joined_rows, where, whole

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LinkTable:
    """A table of links from products to members, and the column by which a file names these."""

    links: Table
    member: str
    members: Table
    value: str


@dataclass(frozen=True)
class Members:
    """Members of sets, one entry each: the product, by its number in the group, and the member's value."""

    product: Indices
    value: pa.Array

    @property
    def keys(self) -> pa.Array:
        """One key for product and value together."""
        return joined(pa.array(self.product).cast(pa.string()), self.value)

    def of(self, product: int) -> list[str]:
        """The values that one product has."""
        values: list[str] = self.value.filter(pa.array(self.product == product)).to_pylist()
        return values

    def kept(self, mask: Mask) -> "Members":
        """Only these entries."""
        return Members(self.product[mask], self.value.filter(pa.array(mask)))


@dataclass(frozen=True)
class LinkChanges:
    """Members to add, and the links (owner and member id) to remove; ``changed`` is by product.

    ``before`` and ``after`` are whole sets: all that the shop has, and those that the file gives.
    """

    add: Members
    remove: pa.Table
    changed: Mask
    before: Members
    after: Members


def members_of_cells(cells: list[pa.Array]) -> Members:
    """The members that products have in several columns, in the order of the columns; repeated ones once."""
    given = [np.flatnonzero(~is_null(column)) for column in cells]
    values = [column.take(pa.array(at)) for column, at in zip(cells, given, strict=True)]
    product = np.concatenate([*given, np.empty(0, dtype=np.int64)])
    order = np.argsort(product, kind="stable")
    value = pa.concat_arrays([pa.nulls(0, pa.string()), *values]).take(pa.array(order))
    return _once(Members(product[order], value))


def members_of_lists(cells: pa.Array) -> Members:
    """The members that products have in one cell, between commas. Medusa: blanks around them are theirs."""
    lists = pc.split_pattern(cells, ",")
    members = Members(pc.list_parent_indices(lists).to_numpy().astype(np.int64), pc.list_flatten(lists))
    return _once(members.kept(pc.not_equal(members.value, "").to_numpy(zero_copy_only=False)))


def read_links(state: StateReader, table: LinkTable, product_ids: pa.Array) -> tuple[pa.Table, Members]:
    """The links that the shop has; ``product_ids`` are by product, null where it is new."""
    links = state.texts(
        f"SELECT product_id, {table.member} AS member_id FROM {table.links.name} "
        f"WHERE {state.among('product_id', product_ids)} ORDER BY {state.written_order}",
        "product_id",
        "member_id",
    )
    live = "deleted_at IS NULL AND " if "deleted_at" in table.members.c else ""
    values = state.texts(
        f"SELECT id, {table.value} AS value FROM {table.members.name} "
        f"WHERE {live}{state.among('id', whole(links.column('member_id')))}",
        "id",
        "value",
    )
    links = joined_rows(links, "member_id", values)
    owner = where(whole(links.column("product_id")), product_ids).to_numpy().astype(np.int64)
    return links, Members(owner, whole(links.column("value")))


def link_changes(links: pa.Table, have: Members, members: Members, replaced: Mask) -> LinkChanges:
    """Compare the sets of the shop with those of the file; ``replaced`` is by product, whether its set is given."""
    members = members.kept(replaced[members.product])
    add = is_null(where(members.keys, have.keys))
    remove = is_null(where(have.keys, members.keys)) & replaced[have.product]
    changed = np.zeros(len(replaced), dtype=bool)
    changed[members.product[add]] = True
    changed[have.product[remove]] = True
    return LinkChanges(members.kept(add), links.filter(pa.array(remove)), changed, have, members)


def same_lists(cells: pa.Array, have: Members) -> Mask:
    """By product, whether its set, written between commas, reads as the cell does.

    A tag may have a comma in it; as a cell it is then two, and still the same.
    """
    written: dict[int, set[str]] = {}
    for product, value in zip(have.product.tolist(), have.value.to_pylist(), strict=True):
        written.setdefault(product, set()).update(value.split(","))
    same = np.zeros(len(cells), dtype=bool)
    for product, values in written.items():
        cell = cells[product].as_py()
        same[product] = cell is not None and values - {""} == set(cell.split(",")) - {""}
    return same


def _once(members: Members) -> Members:
    again = repeated(members.keys)
    return members.kept(~again) if again.any() else members
