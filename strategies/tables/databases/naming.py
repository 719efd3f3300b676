"""Finding tables in the target."""

from typing import Any

from sqlalchemy import Column, Engine, MetaData, Table, inspect
from sqlalchemy.engine.reflection import Inspector

from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.database import Database, database_of
from batch_jobs.strategies.sdk.errors import JobRefused

NAMES_SHOWN = 20
#: Where a ``Table`` of the target keeps its ``Database``: what a type holds differs by that.
DATABASE = "batch_jobs_database"


def shown(names: list[str]) -> str:
    """Names for an error's one line: the first ones when there are many."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more or "none"


def find_table(engine: Engine, name: str, access: DataAccess | None = None) -> Table | None:
    """The table or view of this name (``table`` or ``schema.table``) as it is in the database, ``None`` without one.

    Raises:
        JobRefused: it is not one that a job with this access may use.
    """
    inspector = inspect(engine)
    for schema, table in _readings(name):
        if _has(inspector, schema, table):
            info = {DATABASE: database_of(engine)}
            found = Table(table, MetaData(), schema=schema, autoload_with=engine, resolve_fks=False, info=info)
            _refuse(engine, found, access or DataAccess())
            with engine.connect() as connection:
                database_of(engine).replace_domains(connection, found)
            return found
    return None


def require_table(engine: Engine, name: str, access: DataAccess | None = None) -> Table:
    """The table or view of this name.

    Raises:
        JobRefused: there is none, or not one that a job with this access may use; says which there are.
    """
    table = find_table(engine, name, access)
    if table is None:
        known = [found for found in _names(engine) if _refusal(engine, None, found, access or DataAccess()) is None]
        raise JobRefused(f"there is no table {name} in the target; there are: {shown(known)}")
    return table


def refuse_unwritable(engine: Engine, table: Table, mode: str) -> None:
    """Refuse a table that takes no rows, before any is looked at.

    Raises:
        JobRefused: says why, such as a view.
    """
    with engine.connect() as connection:
        reason = database_of(engine).why_not_writable(connection, table, mode)
    if reason:
        raise JobRefused(reason)


def new_table(engine: Engine, name: str, columns: list[Column[object]], access: DataAccess | None = None) -> Table:
    """A table of this name that is not there yet.

    Raises:
        JobRefused: there cannot be one, or a job with this access may not use it.
    """
    schema, bare = _readings(name)[-1]
    schemas = inspect(engine).get_schema_names()
    if schema is not None and schema not in schemas:
        raise JobRefused(f"there is no schema {schema} for the table {name}; there are: {shown(schemas)}")
    refused = _refusal(engine, schema, bare, access or DataAccess())
    if refused:
        raise JobRefused(refused)
    return Table(bare, MetaData(), *columns, schema=schema, info={DATABASE: database_of(engine)})


def database_of_column(column: Column[Any]) -> Database | None:
    """The database of a column's table, where that was found or made here."""
    return None if column.table is None else column.table.info.get(DATABASE)


def _refuse(engine: Engine, table: Table, access: DataAccess) -> None:
    with engine.connect() as connection:
        schema = database_of(engine).schema_of(connection, table)
    refused = _refusal(engine, schema, table.name, access)
    if refused:
        raise JobRefused(refused)


def _refusal(engine: Engine, schema: str | None, table: str, access: DataAccess) -> str | None:
    return access.refusal(database_of(engine), schema, table, inspect(engine).default_schema_name)


def _names(engine: Engine) -> list[str]:
    inspector = inspect(engine)
    return sorted([*inspector.get_table_names(), *inspector.get_view_names()])


def _readings(name: str) -> list[tuple[str | None, str]]:
    schema, dot, table = name.partition(".")
    return [(None, name), (schema, table)] if dot and schema and table else [(None, name)]


def _has(inspector: Inspector, schema: str | None, table: str) -> bool:
    return (schema is None or schema in inspector.get_schema_names()) and inspector.has_table(table, schema=schema)
