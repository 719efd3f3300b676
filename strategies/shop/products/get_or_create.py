"""Rows that are found by their value and made where there is none: images by url, tags and types by their word."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Table

from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.medusa.ids import new_ids
from batch_jobs.strategies.shop.products.common_values import COLLECTION, IMAGE, TAG, TYPE, CommonValues
from batch_jobs.strategies.shop.state import StateReader, where, whole
from batch_jobs.strategies.tables.importing.keys import Hashes, KeyHashes, Mask, key_hashes

HELD = 1 << 17  # hashes of values held in memory, 1 MB; the others are on disk


@dataclass(frozen=True)
class NewRows:
    """Rows of values that are not there yet: ``common`` ones are made by other partitions too, with the same ids."""

    own: pa.Table
    common: pa.Table


class ValueTable:
    """The values of one table.

    No index of Medusa's helps to find a value, so hashes of all that are there are read once: a value that is new
    by its hash is not looked for. Several threads may ask.

    Args:
        table: the table.
        column: where its values are.
        prefix: how its ids begin.
        known: takes the hashes.
        made: takes the hashes of those that were new.
        common: in a partition, the values that others make too.
    """

    def __init__(
        self,
        table: Table,
        column: str,
        prefix: str,
        known: KeyHashes,
        made: KeyHashes,
        common: CommonValues | None = None,
    ) -> None:
        self.table = table
        self._column = column
        self._prefix = prefix
        self._known = known
        self._made = made
        self._common = common
        self._has_read = False
        self._one_at_a_time = Lock()

    def ids(self, state: StateReader, values: pa.Array) -> tuple[pa.Array, NewRows]:
        """The id for each of these values, and the rows to insert for those that have none yet."""
        distinct = pc.unique(values).cast(pa.string())
        if not len(distinct):
            return distinct, self._new_rows(distinct)
        there = self._look_up(state, distinct)
        ids = whole(there.column("id")).take(where(distinct, whole(there.column(self._column))))
        new = self._new_rows(distinct.filter(pc.is_null(ids)))
        made = pa.concat_tables([new.own, new.common])
        found = pa.concat_arrays([ids.drop_null(), whole(made.column("id"))])
        values_found = pa.concat_arrays([distinct.filter(pc.is_valid(ids)), whole(made.column(self._column))])
        return found.take(where(values, values_found)), new

    def newly_made(self, new: NewRows) -> int:
        """How many of the rows that ``ids`` gave are of a value that was never given before."""
        rows = pa.concat_tables([new.own, new.common])
        if not rows.num_rows:
            return 0
        hashes = key_hashes([rows.column(self._column)])
        with self._one_at_a_time:
            never_given = ~self._made.among(hashes)
            self._made.add(hashes[never_given])
        return int(never_given.sum())

    def _look_up(self, state: StateReader, distinct: pa.Array) -> pa.Table:
        suspects = self._met(state, key_hashes([pa.chunked_array([distinct])]))
        among = state.among(self._column, distinct.filter(pa.array(suspects)))
        return state.texts(
            f"SELECT id, {self._column} FROM {self.table.name} "
            f"WHERE deleted_at IS NULL AND {among} ORDER BY created_at, id",
            "id",
            self._column,
        )

    def _met(self, state: StateReader, hashes: Hashes) -> Mask:
        """Which values may be in the table already; all are from now on."""
        with self._one_at_a_time:
            if not self._has_read:
                self._read(state)
            met = self._known.among(hashes)
            self._known.add(hashes[~met])
        return met

    def _read(self, state: StateReader) -> None:
        query = f"SELECT {self._column} FROM {self.table.name} WHERE deleted_at IS NULL"
        for block in state.blocks(query, self._column):
            self._known.add(key_hashes([block.column(self._column)]))
        self._has_read = True

    def _new_rows(self, values: pa.Array) -> NewRows:
        if self._common is None:
            return NewRows(self._rows(new_ids(self._prefix, len(values)), values), self._rows(values[:0], values[:0]))
        is_common = pa.array(self._common.among(self._prefix, key_hashes([pa.chunked_array([values])])))
        own, common = values.filter(pc.invert(is_common)), values.filter(is_common)
        return NewRows(
            self._rows(new_ids(self._prefix, len(own)), own),
            self._rows(self._common.ids(self._prefix, common), common),
        )

    def _rows(self, ids: pa.Array, values: pa.Array) -> pa.Table:
        return pa.table({"id": ids, self._column: values})


@dataclass(frozen=True)
class ValueTables:
    """The tables whose rows are found by value, as one phase of a job knows them."""

    types: ValueTable
    tags: ValueTable
    images: ValueTable
    collections: ValueTable


@contextmanager
def open_value_tables(common: CommonValues | None = None) -> Iterator[ValueTables]:
    """ValueTables that know nothing yet, in a partition with the values that others make too."""
    with ExitStack() as open_things:

        def hashes() -> KeyHashes:
            return open_things.enter_context(KeyHashes(HELD))

        yield ValueTables(
            ValueTable(tables.product_type, "value", TYPE, hashes(), hashes(), common),
            ValueTable(tables.product_tag, "value", TAG, hashes(), hashes(), common),
            ValueTable(tables.image, "url", IMAGE, hashes(), hashes(), common),
            ValueTable(tables.product_collection, "handle", COLLECTION, hashes(), hashes(), common),
        )
