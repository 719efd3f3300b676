"""Rows that other rows refer to by a foreign key, whatever becomes of those by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Engine, MetaData, Table, inspect

from batch_jobs.strategies.sdk.database import database_of

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


@dataclass(frozen=True)
class Going:
    """Rows that go too, so that what they refer to may go: a table or query of their keys, see ``changes.blocks``."""

    source: str
    key: tuple[str, ...]


class ForeignKeys:
    """The foreign keys of all tables of a database, asked of its catalogue once, and what stands in their place.

    Args:
        engine: of the database.
        undeclared: references that no foreign key states.
    """

    def __init__(self, engine: Engine, undeclared: Sequence[Undeclared] = ()) -> None:
        self._engine = engine
        self._undeclared = undeclared
        self._database = database_of(engine)

    def place_of(self, table: Table) -> Place:
        """Where a table is, the same however it was named."""
        with self._engine.connect() as connection:
            schema = self._database.schema_of(connection, table)
        return self._identity(schema or self._default, table.name)

    def to(self, place: Place) -> list[Reference]:
        """Those that lead to a table."""
        return list(self._by_table.get(place, {}).values())

    @cached_property
    def _default(self) -> str | None:
        return inspect(self._engine).default_schema_name

    @cached_property
    def _by_table(self) -> dict[Place, dict[tuple[str, tuple[str, ...]], Reference]]:
        inspector, default = inspect(self._engine), self._default
        found: dict[Place, dict[tuple[str, tuple[str, ...]], Reference]] = {}
        for schema in inspector.get_schema_names():
            if self._database.is_system_table(schema, ""):
                continue
            for (_, name), keys in inspector.get_multi_foreign_keys(schema=schema).items():
                of = Table(name, MetaData(), schema=None if schema == default else schema)
                origin = self._identity(schema, name)
                for key in keys:
                    to = self._identity(key["referred_schema"] or default, key["referred_table"])
                    columns, referred = tuple(key["constrained_columns"]), tuple(key["referred_columns"])
                    reference = Reference(of, columns, referred, origin, origin == to)
                    found.setdefault(to, {})[of.fullname, columns] = reference
        for one in self._undeclared:
            if inspector.has_table(one.to) and inspector.has_table(one.table):
                of, origin = Table(one.table, MetaData()), self._identity(default, one.table)
                reference = Reference(of, (one.column,), ("id",), origin, is_own=False)
                found.setdefault(self._identity(default, one.to), {})[one.table, (one.column,)] = reference
        return found

    def _identity(self, schema: str | None, name: str) -> Place:
        return (schema, name.casefold() if self._database.folds_names else name)


def has_index(engine: Engine, reference: Reference) -> bool:
    """Whether the rows that refer to one are found by an index, rather than by reading the whole table."""
    inspector, name, schema = inspect(engine), reference.table.name, reference.table.schema
    keys: list[Sequence[str | None]] = [
        index["column_names"]
        for index in inspector.get_indexes(name, schema)
        if not any(option.endswith("_where") for option in index.get("dialect_options", {}))
    ]
    keys.append(inspector.get_pk_constraint(name, schema)["constrained_columns"])
    keys += [unique["column_names"] for unique in inspector.get_unique_constraints(name, schema)]
    return any(set(reference.columns) <= set(key[: len(reference.columns)]) for key in keys)
