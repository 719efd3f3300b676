"""Which column of the file goes into which column of the table."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Table

from strategies.errors import JobRefused
from strategies.rejects import OWN_COLUMNS, SURPLUS_COLUMN
from strategies.tabular.tables import shown

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


def match_table(mapping: dict[str, str], table: Table) -> dict[str, str]:
    """The mapping without the columns that the table computes itself.

    Raises:
        JobRefused: the table lacks a column of the file, or needs one that the file does not have.
    """
    unknown = [column for column in mapping.values() if column not in table.columns]
    if unknown:
        raise JobRefused(
            f"{table.fullname} has no column {shown(unknown)}; map the file's column to one of its own or leave it out "
            f'with columns {{"{unknown[0]}": null}}; it has: {shown(list(table.columns.keys()))}'
        )
    needed = [column.name for column in table.columns if column.name not in mapping.values() and is_required(column)]
    if needed:
        raise JobRefused(
            f"{table.fullname} needs a value for {shown(needed)}, which the file does not have; "
            "add it or map a column to it"
        )
    return {name: column for name, column in mapping.items() if table.columns[column].computed is None}


def is_required(column: Column[Any]) -> bool:
    """Whether a row cannot be inserted without a value for this column."""
    filled = column.server_default is not None or column.identity is not None or column.computed is not None
    return not column.nullable and not filled and not _counts_up(column)


def _counts_up(column: Column[Any]) -> bool:
    # SQLite gives a lone INTEGER PRIMARY KEY its value though it says no default
    table = column.table
    return (
        column.primary_key
        and len(table.primary_key) == 1
        and str(column.type).upper() == "INTEGER"
        and column.autoincrement is not False
    )
