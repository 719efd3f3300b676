"""Which column of the file goes into which column of the table, and which of them are the key."""

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import Engine, Table

from batch_jobs.strategies.sdk.database import UniqueKey, database_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.rejects import OWN_COLUMNS, SURPLUS_COLUMN
from batch_jobs.strategies.tables.databases.loading import UPDATING, is_required
from batch_jobs.strategies.tables.databases.naming import shown

#: What a rejects file has beside the input's columns; left out when such a file is loaded again.
LEFT_OUT = (*OWN_COLUMNS, SURPLUS_COLUMN)


def map_columns(file_columns: list[str], given: Mapping[str, str | None]) -> dict[str, str]:
    """The table's column for each column of the file that is to be loaded.

    Raises:
        JobRefused: ``given`` names columns the file has not, or two columns of the file go into one.
    """
    absent = [name for name in given if name not in file_columns]
    if absent:
        raise JobRefused(f"columns names {shown(absent)}, which the file does not have; it has: {shown(file_columns)}")
    # a column given as null is left out, one that is not given keeps its name
    kept = {name: name for name in file_columns if name not in LEFT_OUT}
    mapping = {name: column for name, column in {**kept, **given}.items() if column}
    doubled = [column for column, uses in Counter(mapping.values()).items() if uses > 1]
    if doubled:
        raise JobRefused(
            f'two columns of the file go into {shown(doubled)}; leave one out with columns {{"name": null}}'
        )
    if not mapping:
        raise JobRefused(f"no column is left to load; the file has: {shown(file_columns)}")
    return mapping


def match_table(mapping: dict[str, str], table: Table, mode: str) -> dict[str, str]:
    """The mapping without the columns that the table computes itself.

    Raises:
        JobRefused: the table lacks a column of the file, or needs one for a new row that the file does not have, and
            the mode is for new rows alone.
    """
    unknown = [column for column in mapping.values() if column not in table.columns]
    if unknown:
        raise JobRefused(
            f"{table.fullname} has no column {shown(unknown)}; map the file's column to one of its own or leave it out "
            f'with columns {{"{unknown[0]}": null}}; it has: {shown(list(table.columns.keys()))}'
        )
    needed = [column.name for column in table.columns if column.name not in mapping.values() and is_required(column)]
    if needed and mode not in UPDATING:
        raise JobRefused(
            f"{table.fullname} needs a value for {shown(needed)}, which the file does not have; "
            "add it or map a column to it"
        )
    return {name: column for name, column in mapping.items() if table.columns[column].computed is None}


def choose_key(mode: str, asked: list[str], table: Table | None, columns: list[str]) -> list[str]:
    """The columns of the key; none where the mode has no use for one.

    Raises:
        JobRefused: a key is needed and there is none, or the file lacks a column of it.
    """
    absent = [name for name in asked if name not in columns]
    if absent:
        raise JobRefused(
            f"the key {shown(asked)} needs {shown(absent)}, which the file does not have; it has: {shown(columns)}"
        )
    if mode == "append" or asked:
        return asked
    own = [column.name for column in table.primary_key] if table is not None else []
    if own and set(own) <= set(columns):
        return own
    raise JobRefused(
        f"{mode} needs a key; give `key` the columns that tell rows apart, among: "
        f"{shown(columns)}{_why_not(table, own)}"
    )


def unique_key(engine: Engine, table: Table, key: list[str]) -> UniqueKey:
    """The key as the database keeps it unique; any other is refused, because two jobs at once could then double a row.

    Raises:
        JobRefused: with the statement that makes the index.
    """
    database = database_of(engine)
    with engine.connect() as connection:
        for found in database.unique_keys(connection, table):
            if found.columns == frozenset(key):
                return found
    name = database.quoted("_".join([table.name, *key, "key"])[:63])
    statement = f"CREATE UNIQUE INDEX {name} ON {database.quoted_table(table)} ({database.names(key)})"
    raise JobRefused(
        f"{table.fullname} has no unique index on exactly {shown(key)}, so rows cannot be matched by it; "
        f"run: {statement}"
    )


def _why_not(table: Table | None, own: list[str]) -> str:
    if table is None:
        return ""
    return f" (the primary key {shown(own)} is not in the file)" if own else f" ({table.fullname} has no primary key)"
