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
from batch_jobs.strategies.shop.products.matching import is_null
from batch_jobs.strategies.shop.state import StateReader, where, whole
from batch_jobs.strategies.tables.importing.keys import Hashes, KeyHashes, Mask, key_hashes

HELD = 1 << 17  # hashes of values held in memory, 1 MB; the others are on disk


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
    """

    def __init__(self, table: Table, column: str, prefix: str, known: KeyHashes, made: KeyHashes) -> None:
        self.table = table
        self._column = column
        self._prefix = prefix
        self._known = known
        self._made = made
        self._has_read = False
        self._one_at_a_time = Lock()

    def ids(self, state: StateReader, values: pa.Array) -> tuple[pa.Array, pa.Table]:
        """The id for each of these values, and the rows to insert for those that have none yet."""
        distinct = pc.unique(values)
        if not len(distinct):
            return pa.nulls(0, pa.string()), self._rows(pa.nulls(0, pa.string()), distinct)
        there = self._look_up(state, distinct)
        ids = whole(there.column("id")).take(where(distinct, whole(there.column(self._column))))
        new = pa.array(is_null(ids))
        made = new_ids(self._prefix, pc.sum(new).as_py() or 0)
        rows = self._rows(made, distinct.filter(new))
        found = pa.concat_arrays([ids.filter(pc.invert(new)), made])
        values_found = pa.concat_arrays([distinct.filter(pc.invert(new)), distinct.filter(new)])
        return found.take(where(values, values_found)), rows

    def newly_made(self, rows: pa.Table) -> int:
        """How many of the rows that ``ids`` gave are of a value that was never given before."""
        if not rows.num_rows:
            return 0
        hashes = key_hashes([rows.column(self._column)])
        with self._one_at_a_time:
            new = ~self._made.among(hashes)
            self._made.add(hashes[new])
        return int(new.sum())

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

    def _rows(self, ids: pa.Array, values: pa.Array) -> pa.Table:
        return pa.table({"id": ids, self._column: values.cast(pa.string())})


@dataclass(frozen=True)
class ValueTables:
    """The tables whose rows are found by value, as one phase of a job knows them."""

    types: ValueTable
    tags: ValueTable
    images: ValueTable
    collections: ValueTable


@contextmanager
def open_value_tables() -> Iterator[ValueTables]:
    """ValueTables that know nothing yet."""
    with ExitStack() as open_things:

        def hashes() -> KeyHashes:
            return open_things.enter_context(KeyHashes(HELD))

        yield ValueTables(
            ValueTable(tables.product_type, "value", "ptyp", hashes(), hashes()),
            ValueTable(tables.product_tag, "value", "ptag", hashes(), hashes()),
            ValueTable(tables.image, "url", "img", hashes(), hashes()),
            ValueTable(tables.product_collection, "handle", "pcol", hashes(), hashes()),
        )
