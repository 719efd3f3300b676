"""Rows that other rows refer to by a foreign key, whatever becomes of those by it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, MetaData, Table, inspect

from batch_jobs.strategies.sdk.database import Database, database_of

#: A table by its schema and name, as the database tells them apart.
Place = tuple[str | None, str]


@dataclass(frozen=True)
class Undeclared:
    """A column that has the ``id`` of rows of another table, both in the default schema, and no foreign key says so."""

    table: str
    column: str
    to: str


@dataclass(frozen=True)
class Reference:
    """A foreign key: columns of ``table`` that have what is in columns of the table referred to."""

    table: Table
    columns: tuple[str, ...]
    to: tuple[str, ...]
    place: Place
    is_own: bool

    @property
    def name(self) -> str:
        """The table whose rows refer."""
        return self.table.fullname


def place_of_table(engine: Engine, table: Table) -> Place:
    """Where a table is, the same however it was named."""
    database = database_of(engine)
    with engine.connect() as connection:
        schema = database.schema_of(connection, table)
    return _identity(database, schema or inspect(engine).default_schema_name, table.name)


def references_to(engine: Engine, table: Table, undeclared: Iterable[Undeclared] = ()) -> list[Reference]:
    """The foreign keys of all tables of a database that lead to a table, and what stands in their place."""
    inspector, database, place = inspect(engine), database_of(engine), place_of_table(engine, table)
    default = inspector.default_schema_name
    found: dict[tuple[str, tuple[str, ...]], Reference] = {}
    for schema in inspector.get_schema_names():
        if database.is_system_table(schema, ""):
            continue
        for (_, name), keys in inspector.get_multi_foreign_keys(schema=schema).items():
            of = Table(name, MetaData(), schema=None if schema == default else schema)
            for key in keys:
                to = _identity(database, key["referred_schema"] or default, key["referred_table"])
                if to == place:
                    columns, referred = tuple(key["constrained_columns"]), tuple(key["referred_columns"])
                    origin = _identity(database, schema, name)
                    found[of.fullname, columns] = Reference(of, columns, referred, origin, origin == place)
    for one in undeclared:
        if place == _identity(database, default, one.to) and inspector.has_table(one.table):
            of, origin = Table(one.table, MetaData()), _identity(database, default, one.table)
            found[one.table, (one.column,)] = Reference(of, (one.column,), ("id",), origin, is_own=False)
    return list(found.values())


def is_referred_to(database: Database, reference: Reference, without: Iterable[Mapping[str, str]]) -> str:
    """The SQL condition that a row of ``target`` is referred to.

    Args:
        database: of the target.
        reference: by which foreign key.
        without: sets of referring rows that do not count, each as the SQL of a query of keys by ``keys``, and the
            referring table's columns of them by ``columns``.
    """
    own = ", ".join(f"target.{database.quoted(name)}" for name in reference.to)
    theirs = ", ".join(f"referring.{database.quoted(name)}" for name in reference.columns)
    left_out = "".join(f" AND ({rows['columns']}) NOT IN ({rows['keys']})" for rows in without)
    is_set = " AND ".join(f"referring.{database.quoted(name)} IS NOT NULL" for name in reference.columns)
    table = database.quoted_table(reference.table)
    return f"({own}) IN (SELECT {theirs} FROM {table} AS referring WHERE {is_set}{left_out})"


def _identity(database: Database, schema: str | None, name: str) -> Place:
    return (schema, name.casefold() if database.folds_names else name)
