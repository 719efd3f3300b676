"""Finding tables in the target."""

import re
from typing import Any

from sqlalchemy import Column, Engine, MetaData, Table, inspect
from sqlalchemy.engine.reflection import Inspector

from batch_jobs.strategies.sdk.database import Database, database_of
from batch_jobs.strategies.sdk.errors import ContextRefused, JobRefused

NAMES_SHOWN = 20
#: Where a ``Table`` of the target keeps its ``Database``: what a type holds differs by that.
DATABASE = "batch_jobs_database"
OWN = re.compile(r"\bbatch_job(_[a-z_]+)?\b", re.IGNORECASE)


def shown(names: list[str]) -> str:
    """Names for an error's one line: the first ones when there are many."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more or "none"


def refuse_own(text: str) -> None:
    """Refuse a table's name or a query that names a table of the job database, which may be the target too.

    Who may import into them could make an API key of any role, and who may export them sees everybody's jobs.

    Raises:
        ContextRefused: it does.
    """
    named = OWN.search(text)
    if named:
        raise ContextRefused(f"{named[0]} is a table of the jobs themselves; `batch-jobs list --json` gives jobs")


def find_table(engine: Engine, name: str) -> Table | None:
    """The table or view of this name (``table`` or ``schema.table``) as it is in the database, ``None`` without one."""
    inspector = inspect(engine)
    for schema, table in _readings(name):
        if _has(inspector, schema, table):
            info = {DATABASE: database_of(engine)}
            return Table(table, MetaData(), schema=schema, autoload_with=engine, resolve_fks=False, info=info)
    return None


def require_table(engine: Engine, name: str) -> Table:
    """The table or view of this name.

    Raises:
        JobRefused: there is none; says which there are.
    """
    table = find_table(engine, name)
    if table is None:
        inspector = inspect(engine)
        known = sorted([*inspector.get_table_names(), *inspector.get_view_names()])
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


def new_table(engine: Engine, name: str, columns: list[Column[object]]) -> Table:
    """A table of this name that is not there yet."""
    schema, bare = _readings(name)[-1]
    schemas = inspect(engine).get_schema_names()
    if schema is not None and schema not in schemas:
        raise JobRefused(f"there is no schema {schema} for the table {name}; there are: {shown(schemas)}")
    return Table(bare, MetaData(), *columns, schema=schema, info={DATABASE: database_of(engine)})


def database_of_column(column: Column[Any]) -> Database | None:
    """The database of a column's table, where that was found or made here."""
    return None if column.table is None else column.table.info.get(DATABASE)


def _readings(name: str) -> list[tuple[str | None, str]]:
    schema, dot, table = name.partition(".")
    return [(None, name), (schema, table)] if dot and schema and table else [(None, name)]


def _has(inspector: Inspector, schema: str | None, table: str) -> bool:
    return (schema is None or schema in inspector.get_schema_names()) and inspector.has_table(table, schema=schema)
