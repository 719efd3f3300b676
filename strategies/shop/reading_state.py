"""Reading what the shop has now: rows as Arrow tables of text, from either database."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Table, types

from batch_jobs.strategies.tables.databases.exporting import source_for
from batch_jobs.strategies.tables.selecting import SelectedColumn, Selection

TEXT = types.Text()

#: PostgreSQL's planner knows nothing of rows just loaded: it would read whole tables for each group, or spend longer on
#: starting helpers and compiling than the reading takes.
SETTINGS = (
    "SET LOCAL enable_seqscan = off",
    "SET LOCAL max_parallel_workers_per_gather = 0",
    "SET LOCAL jit = off",
)


class StateReader:
    """Reads from one connection, in its transaction."""

    def __init__(self, connection: Connection) -> None:
        # the driver itself: SQLAlchemy would take a percent sign for a placeholder
        driver: Any = connection.connection.driver_connection
        self._driver = driver
        self._connection = connection
        self._is_postgresql = connection.dialect.name == "postgresql"
        if self._is_postgresql:
            self._driver.execute("; ".join(SETTINGS))

    def rows(self, query: str, columns: dict[str, types.TypeEngine[Any]]) -> pa.Table:
        """The rows of a query with these columns, every cell as text."""
        cells = [_as_text(name, type) for name, type in columns.items()]
        if self._is_postgresql:
            # one array a column: thousands of tuples would keep the garbage collector busy; and binary, since
            # the cells of an array as text would be quoted there and unquoted here
            arrays = ", ".join(f"array_agg({cell})" for cell in cells)
            found = self._driver.execute(f"SELECT {arrays} FROM ({query}) AS source", binary=True).fetchone()
            values = [column or [] for column in found]
        else:
            found = self._driver.execute(f"SELECT {', '.join(cells)} FROM ({query}) AS source").fetchall()
            values = list(zip(*found, strict=True)) or [()] * len(columns)
        return pa.table([pa.array(column, pa.string()) for column in values], names=list(columns))

    def blocks(self, query: str, column: str) -> Iterator[pa.Table]:
        """The rows of a query with one column of text, block by block, since there may be millions."""
        selection = Selection(f"({query})", [SelectedColumn(column, TEXT)], [])
        yield from source_for(self._connection.engine).batches(self._connection, selection)

    def holding(self, table: Table, column: str, values: pa.Array) -> str:
        """The SQL source of a table's rows that have one of these texts in a column which has an index.

        For tables that have further indexes of their live rows only.
        """
        rows = f"SELECT * FROM {table.name} WHERE {self.among(column, values)}"
        # without the fence, asking for live rows too tempts PostgreSQL to go through a whole index of these
        return f"({rows} OFFSET 0) AS {table.name}" if self._is_postgresql else f"({rows}) AS {table.name}"

    def holding_live(self, table: Table, column: str, values: pa.Array) -> str:
        """The same for a column whose index has only rows that are not deleted, each text once."""
        if not self._is_postgresql:
            return self.holding(table, column, values)
        rows = f"SELECT * FROM {table.name} WHERE {column} = wanted.value AND deleted_at IS NULL OFFSET 0"
        wanted = f"SELECT unnest({_array(_distinct(values))}) AS value"
        return f"(SELECT found.* FROM ({wanted}) AS wanted CROSS JOIN LATERAL ({rows}) AS found) AS {table.name}"

    def among(self, column: str, values: pa.Array) -> str:
        """The SQL condition that a column has one of these texts; empty ones and nulls are left out."""
        distinct = _distinct(values)
        if not len(distinct):
            return "FALSE"
        if not self._is_postgresql:
            return f"{column} IN ('" + "', '".join(_escaped(distinct, ("'",))) + "')"
        return f"{column} = ANY ({_array(distinct)})"

    def texts(self, query: str, *columns: str) -> pa.Table:
        """The rows of a query whose columns are all text."""
        return self.rows(query, dict.fromkeys(columns, TEXT))


def _distinct(values: pa.Array) -> pa.Array:
    distinct = pc.unique(values).drop_null()
    return distinct.filter(pc.not_equal(distinct, ""))


def _array(texts: pa.Array) -> str:
    # one array is read much faster than a list of thousands of constants
    escaped = '","'.join(_escaped(texts, ("\\", '"', "'")))
    return f"""'{{"{escaped}"}}'::text[]""" if len(texts) else "'{}'::text[]"


def _escaped(texts: pa.Array, marks: tuple[str, ...]) -> list[str]:
    for mark in marks:
        texts = pc.replace_substring(texts, mark, "''" if mark == "'" else f"\\{mark}")
    return list(texts.to_pylist())


def _as_text(name: str, type: types.TypeEngine[Any]) -> str:
    if isinstance(type, types.Boolean):
        return f"CASE WHEN {name} THEN 'true' WHEN NOT {name} THEN 'false' END"
    return name if isinstance(type, types.Text) else f"CAST({name} AS text)"


def joined_rows(left: pa.Table, column: str, right: pa.Table) -> pa.Table:
    """Rows with those of another table whose ``id`` they name in a column; rows without such a one are left out."""
    at = where(whole(left.column(column)), whole(right.column("id")))
    found = right.take(at).drop(["id"])
    for name in found.column_names:
        left = left.append_column(name, found.column(name))
    return left.filter(pc.is_valid(at))


def types_of(table: Table, names: list[str]) -> dict[str, types.TypeEngine[Any]]:
    """The types of some columns of a table."""
    return {name: table.c[name].type for name in names}


def where(keys: pa.Array, among: pa.Array) -> pa.Array:
    """For each key the index of the first equal one among others, null where there is none; null equals nothing."""
    return pc.index_in(keys, value_set=among, skip_nulls=True)


def joined(*parts: pa.Array) -> pa.Array:
    """One key of several; a part that is null is empty."""
    return pc.binary_join_element_wise(*parts, "\x1f", null_handling="replace", null_replacement="")


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
