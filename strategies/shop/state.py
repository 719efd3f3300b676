"""Reading what the shop has now: rows as Arrow tables of text, and what products refer to by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Table, types

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.shop.importing.headers import PriceHeader
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.selecting import SelectedColumn, Selection

TEXT = types.Text()


class StateReader:
    """Reads from one connection, in its transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lookup = database_of(connection).lookup(connection)

    @property
    def written_order(self) -> str:
        """The SQL by which rows are in the order in which they were written."""
        return database_of(self._connection).written_order

    def rows(self, query: str, columns: dict[str, types.TypeEngine[Any]]) -> pa.Table:
        """The rows of a query with these columns, every cell as text."""
        values = self._lookup.columns(query, [_as_text(name, type) for name, type in columns.items()])
        return pa.table([pa.array(column, pa.string()) for column in values], names=list(columns))

    def blocks(self, query: str, column: str) -> Iterator[pa.Table]:
        """The rows of a query with one column of text, block by block, since there may be millions."""
        selection = Selection(f"({query})", [SelectedColumn(column, TEXT)], [])
        yield from database_of(self._connection).source(self._connection.engine).batches(self._connection, selection)

    def holding(self, table: Table, column: str, values: pa.Array) -> str:
        """The SQL source of a table's rows that have one of these texts in a column which has an index.

        For tables that have further indexes of their live rows only.
        """
        return self._lookup.rows_with(table.name, column, _distinct(values))

    def holding_live(self, table: Table, column: str, values: pa.Array) -> str:
        """The same for a column whose index has only rows that are not deleted, each text once."""
        return self._lookup.rows_with_one(table.name, column, _distinct(values), "deleted_at IS NULL")

    def among(self, column: str, values: pa.Array) -> str:
        """The SQL condition that a column has one of these texts; empty ones and nulls are left out."""
        distinct = _distinct(values)
        return self._lookup.any_of(column, distinct) if len(distinct) else "FALSE"

    def texts(self, query: str, *columns: str) -> pa.Table:
        """The rows of a query whose columns are all text."""
        return self.rows(query, dict.fromkeys(columns, TEXT))


def _distinct(values: pa.Array) -> pa.Array:
    distinct = pc.unique(values).drop_null()
    return distinct.filter(pc.not_equal(distinct, ""))


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


@dataclass(frozen=True)
class PriceColumn:
    """A column of prices: where its amounts go, or why there is no such place."""

    column: str
    currency: str
    region_id: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Shop:
    """The shop as it is when a job begins a phase."""

    currencies: list[str]
    regions: dict[str, dict[str, str]]  # name -> currency -> id; two regions may have one name
    channels: pa.Table  # id, name
    default_profile: str | None

    def price_columns(self, headers: list[PriceHeader]) -> list[PriceColumn]:
        """Where each column of prices goes.

        The currency in the brackets must be the region's: it shows what the amounts of the file are.

        Raises:
            JobRefused: two columns hold the same price.
        """
        columns = [self._price_column(header) for header in headers]
        first: dict[tuple[str, str | None], str] = {}
        for column in columns:
            if column.problem is not None:
                continue
            other = first.setdefault((column.currency, column.region_id), column.column)
            if other != column.column:
                raise JobRefused(f"{other} and {column.column} are the same price; leave one out")
        return columns

    def _price_column(self, header: PriceHeader) -> PriceColumn:
        if header.region is None:
            known = header.currency in self.currencies
            problem = None if known else f"the shop has no currency {header.currency}"
            return PriceColumn(header.column, header.currency, None, problem)
        if header.region not in self.regions:
            problem = f"there is no region {header.region}; there are: {shown(sorted(self.regions))}"
            return PriceColumn(header.column, header.currency, None, problem)
        ids = self.regions[header.region]
        if header.currency not in ids:
            own, given = (" or ".join(sorted(found)).upper() for found in (ids, [header.currency]))
            problem = f"the region {header.region} has prices in {own}, not in {given}"
            return PriceColumn(header.column, header.currency, None, problem)
        return PriceColumn(header.column, header.currency, ids[header.currency])


def read_shop(state: StateReader) -> Shop:
    """Read it."""
    regions = state.texts(
        "SELECT id, name, currency_code FROM region WHERE deleted_at IS NULL", "id", "name", "currency_code"
    )
    ids: dict[str, dict[str, str]] = {}
    for row in regions.to_pylist():
        ids.setdefault(row["name"], {})[row["currency_code"]] = row["id"]
    profiles = state.texts(
        "SELECT id FROM shipping_profile WHERE type = 'default' AND deleted_at IS NULL ORDER BY created_at, id", "id"
    )
    return Shop(
        currencies=state.texts("SELECT code FROM currency", "code").column("code").to_pylist(),
        regions=ids,
        channels=state.texts("SELECT id, name FROM sales_channel WHERE deleted_at IS NULL", "id", "name"),
        default_profile=next(iter(profiles.column("id").to_pylist()), None),
    )
