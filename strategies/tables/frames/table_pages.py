"""A table's rows in pages, by a key that tells them apart: each page begins behind the last key of the one before."""

import math
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, DateTime, Engine

from batch_jobs.strategies.sdk.database import Database, database_of, driver_of
from batch_jobs.strategies.tables.databases.loading import Destination
from batch_jobs.strategies.tables.databases.statements import key_cell
from batch_jobs.strategies.tables.selecting import SelectedColumn, Selection

#: A key as JSON keeps it; what JSON has not is an object of one entry.
Cursor = list[Any]

#: What is no parameter though it may look like one, and then the name of one.
PARAMETER = re.compile(r"'[^']*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|::|(?<![:\w]):([A-Za-z_]\w*)", re.DOTALL)


class TablePages:
    """The rows of a table that meet a condition.

    Args:
        engine: of the database.
        destination: the table, the columns to read, and the key with its collations.
        condition: the SQL that rows have to meet; empty for all rows.
        size: how many rows a page has.
    """

    def __init__(self, engine: Engine, destination: Destination, condition: str, size: int) -> None:
        self._database: Database = database_of(engine)
        self._source = self._database.source(engine)
        self._destination, self._size = destination, size
        self._table = self._database.quoted_table(destination.table)
        self._condition = f"(\n{condition}\n)" if condition else ""  # it may end with a comment
        self._nullable = [self._quoted(name) for name in destination.key if destination.column(name).nullable]

    def last_key(self, connection: Connection, after: Cursor | None, until: Cursor | None) -> Cursor | None:
        """The last key of the page behind a key, and not behind another; ``None`` where there are no rows any more."""
        database, key = self._database, self._destination.key
        page = self._select(key, after, until, f" LIMIT {self._size}")
        cells = ", ".join(database.carried(f"page.{database.quoted(name)}") for name in key)
        backwards = ", ".join(f"{key_cell(database, self._destination, name, 'page')} DESC" for name in key)
        with self._source.reading_in(connection):
            query = f"SELECT {cells} FROM (\n{page}\n) AS page ORDER BY {backwards} LIMIT 1"
            found = driver_of(connection).execute(query).fetchone()
        return None if found is None else [_kept(value) for value in found]

    def read(self, connection: Connection, after: Cursor | None, last: Cursor, lock: bool = False) -> pa.Table:
        """The rows behind a key up to another one, every cell as text.

        Args:
            connection: in whose transaction they are read.
            after: the last key of the page before, ``None`` where there is none.
            last: that of this page.
            lock: whether nobody else is to change them until the transaction ends.
        """
        columns = [SelectedColumn(name, self._destination.column(name).type) for name in self._destination.columns]
        query = self._select(self._destination.columns, after, last, f" {self._database.row_lock}" if lock else "")
        selection = Selection(f"(\n{query}\n)", columns, [], title=self._destination.table.fullname)
        with self._source.reading_in(connection):
            parts = list(self._source.batches(connection, selection))
        if not parts:
            return pa.table({name: pa.array([], pa.string()) for name in self._destination.columns})
        page = pa.concat_tables(parts).combine_chunks()
        for place, column in enumerate(columns):
            if isinstance(column.type, DateTime) and column.type.timezone:
                # as ISO 8601 has it: such are converted all at once
                cells = pc.replace_substring_regex(page.column(place), r"\+00$", "+00:00")
                page = page.set_column(place, column.name, cells)
        return page

    def has_rows_without_key(self, connection: Connection) -> bool:
        """Whether there are rows with an empty key, which no page would have."""
        if not self._nullable:
            return False
        are_empty = " OR ".join(f"{cell} IS NULL" for cell in self._nullable)
        where = _all_of(f"({are_empty})", self._condition)
        return driver_of(connection).execute(f"SELECT 1 FROM {self._table}{where} LIMIT 1").fetchone() is not None

    def _select(self, columns: list[str], after: Cursor | None, last: Cursor | None, end: str) -> str:
        names = ", ".join(map(self._quoted, columns))
        key = self._destination.key
        cells = ", ".join(key_cell(self._database, self._destination, name, self._table) for name in key)
        bounds = [f"({cells}) {sign} ({self._constants(edge)})" for sign, edge in ((">", after), ("<=", last)) if edge]
        has_key = [f"{cell} IS NOT NULL" for cell in self._nullable]
        return f"SELECT {names} FROM {self._table}{_all_of(*bounds, *has_key, self._condition)} ORDER BY {cells}{end}"

    def _quoted(self, name: str) -> str:
        return f"{self._table}.{self._database.quoted(name)}"

    def _constants(self, edge: Cursor) -> str:
        return ", ".join(self._database.constant(_value(part)) for part in edge)


def parameters_of(condition: str) -> list[str]:
    """The names of the parameters in an SQL condition: ``price > :least``."""
    return [found[1] for found in PARAMETER.finditer(condition) if found[1]]


def with_values(database: Database, condition: str, values: Mapping[str, Any]) -> str:
    """The condition with values in the place of its parameters."""
    return PARAMETER.sub(lambda found: database.constant(values[found[1]]) if found[1] else found[0], condition)


def _all_of(*conditions: str) -> str:
    given = [condition for condition in conditions if condition]
    return f" WHERE {' AND '.join(given)}" if given else ""


def _kept(value: Any) -> Any:
    """A value for JSON, which knows no bytes, no infinity, and as the databases keep it no NUL character."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, str) and "\0" in value:
        return {"text": value.encode().hex()}
    return {"real": repr(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _value(kept: Any) -> Any:
    """The value again that was made fit for JSON."""
    if not isinstance(kept, dict):
        return kept
    ((kind, text),) = kept.items()
    if kind == "real":
        return float(text)
    return bytes.fromhex(text) if kind == "bytes" else bytes.fromhex(text).decode()
