"""Columns of a domain: they hold what the type holds that the domain is over; its rules are for the server to check."""

import re
from typing import Any

from sqlalchemy import ARRAY, Column, Connection, Float, Numeric, String, Table
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.sdk.database import driver_of
from batch_jobs.strategies.tables.databases.loading import IS_DOMAIN

#: The innermost types of columns with their lengths, precisions and scales, which SQLAlchemy does not read of domains.
BASES = """
WITH RECURSIVE inner_type AS (
    SELECT attname, atttypid AS type, atttypmod AS modifier FROM pg_attribute
    WHERE attrelid = %s::regclass AND attname = ANY (%s)
    UNION ALL
    SELECT attname, CASE typtype WHEN 'd' THEN typbasetype ELSE typelem END,
        CASE typtype WHEN 'd' THEN typtypmod ELSE modifier END
    FROM inner_type JOIN pg_type ON pg_type.oid = inner_type.type
    WHERE typtype = 'd' OR (typcategory = 'A' AND typelem <> 0)
)
SELECT attname, format_type(type, modifier) FROM inner_type JOIN pg_type ON pg_type.oid = type
WHERE typtype <> 'd' AND typcategory <> 'A'
"""
_ARGUMENTS = re.compile(r"\((\d+)(?:,(\d+))?\)")


def replace_domains(connection: Connection, table: Table, name: str) -> None:
    """Give the columns of a table the types that their domains are over; ``name`` is quoted, as SQL has it."""
    domains = {column.name: column for column in table.columns if _has_domain(column.type)}
    if not domains:
        return
    for column in domains.values():
        column.info[IS_DOMAIN] = isinstance(column.type, DOMAIN)
        column.type = _without_domains(column.type)
    for column_name, written in driver_of(connection).execute(BASES, [name, list(domains)]):
        arguments = _ARGUMENTS.search(written)
        if arguments:
            _limit(domains[column_name], [int(number) for number in arguments.groups() if number])


def _has_domain(type: TypeEngine[Any]) -> bool:
    return isinstance(type, DOMAIN) or (isinstance(type, ARRAY) and _has_domain(type.item_type))


def _without_domains(type: TypeEngine[Any]) -> TypeEngine[Any]:
    if isinstance(type, DOMAIN):
        return _without_domains(type.data_type)
    return ARRAY(_without_domains(type.item_type)) if isinstance(type, ARRAY) else type


def _limit(column: Column[Any], arguments: list[int]) -> None:
    """Have a column's type keep as much as the server says."""
    type: Any = column.type.item_type if isinstance(column.type, ARRAY) else column.type
    if isinstance(type, String):
        type.length = arguments[0]
    elif isinstance(type, Numeric) and not isinstance(type, Float):
        type.precision, type.scale = (*arguments, 0)[:2]
    elif hasattr(type, "precision"):
        type.precision = arguments[0]
