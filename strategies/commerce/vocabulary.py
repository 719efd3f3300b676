"""Rows that are found by their value and made where there is none: images by url, tags and types by their word."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Table

from strategies.commerce.ids import new_ids
from strategies.commerce.matching import is_null
from strategies.commerce.reading_state import StateReader, where, whole
from strategies.tabular.keys import Hashes, key_hashes


class Vocabulary:
    """The values of one table.

    No index of Medusa's helps to find a value, so hashes of all that are there are read once: a value that is new
    by its hash is not looked for.
    """

    def __init__(self, table: Table, column: str, prefix: str) -> None:
        self.table = table
        self._column = column
        self._prefix = prefix
        self._known: Hashes | None = None

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

    def _look_up(self, state: StateReader, distinct: pa.Array) -> pa.Table:
        hashes = key_hashes([pa.chunked_array([distinct])])
        known = self._hashes(state)
        suspects = np.isin(hashes, known)
        self._known = np.union1d(known, hashes)
        among = state.among(self._column, distinct.filter(pa.array(suspects)))
        return state.texts(
            f"SELECT id, {self._column} FROM {self.table.name} "
            f"WHERE deleted_at IS NULL AND {among} ORDER BY created_at, id",
            "id",
            self._column,
        )

    def _hashes(self, state: StateReader) -> Hashes:
        if self._known is None:
            query = f"SELECT {self._column} FROM {self.table.name} WHERE deleted_at IS NULL"
            hashes = [key_hashes([block.column(self._column)]) for block in state.blocks(query, self._column)]
            self._known = np.unique(np.concatenate([*hashes, np.empty(0, dtype=np.uint64)]))
        return self._known

    def _rows(self, ids: pa.Array, values: pa.Array) -> pa.Table:
        return pa.table({"id": ids, self._column: values.cast(pa.string())})
