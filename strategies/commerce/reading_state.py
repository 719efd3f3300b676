"""Reading what the shop has now: rows as Arrow tables of text, from either database."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Table, types

from strategies.tabular.exporting import Source
from strategies.tabular.selecting import SelectedColumn, Selection

TEXT = types.Text()


class StateReader:
    """Reads from one connection, in its transaction.

    Args:
        source: knows how the target is read.
        connection: to the target.
    """

    def __init__(self, source: Source, connection: Connection) -> None:
        self._source = source
        self._connection = connection

    def rows(self, query: str, columns: dict[str, types.TypeEngine[Any]]) -> pa.Table:
        """The rows of a query with these columns, every cell as text."""
        selected = [SelectedColumn(name, type) for name, type in columns.items()]
        batches = list(self._source.batches(self._connection, Selection(f"({query})", selected, [])))
        schema = pa.schema([(name, pa.string()) for name in columns])
        if not batches:
            return schema.empty_table()
        return pa.concat_tables(batches).cast(schema).combine_chunks()

    def texts(self, query: str, *columns: str) -> pa.Table:
        """The rows of a query whose columns are all text."""
        return self.rows(query, dict.fromkeys(columns, TEXT))


def types_of(table: Table, names: list[str]) -> dict[str, types.TypeEngine[Any]]:
    """The types of some columns of a table."""
    return {name: table.c[name].type for name in names}


def listed(values: pa.Array) -> str | None:
    """Distinct texts as SQL writes a list of them, ``None`` without any; empty ones and nulls are left out."""
    distinct = [value for value in pc.unique(values).to_pylist() if value]
    if not distinct:
        return None
    return "('" + "', '".join(value.replace("'", "''") for value in distinct) + "')"


def any_of(conditions: dict[str, pa.Array]) -> str:
    """The SQL condition that a column has one of its values; columns without any are left out."""
    lists = {column: listed(values) for column, values in conditions.items()}
    return " OR ".join(f"{column} IN {found}" for column, found in lists.items() if found) or "FALSE"


def where(keys: pa.Array, among: pa.Array) -> pa.Array:
    """For each key the index of the first equal one among others, null where there is none; null equals nothing."""
    return pc.index_in(keys, value_set=among, skip_nulls=True)


def joined(*parts: pa.Array) -> pa.Array:
    """One key of several; a part that is null is empty."""
    return pc.binary_join_element_wise(*parts, "\x1f", null_handling="replace", null_replacement="")


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
