"""The SQL by which staged rows meet those of the target; the same in all databases but for what ``Database`` says."""

from functools import cached_property
from typing import Any

from sqlalchemy import ARRAY, JSON, Column, Enum, String
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import NullType, TypeEngine

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.tables.databases.loading import IS_DOMAIN, ROW, STAGE, UPDATING, Destination, Removal

#: Types of PostgreSQL by whose equality values are equal that are not the same, such as 1 day and 24:00.
_BY_TEXT = (NullType, postgresql.CITEXT, postgresql.INTERVAL, postgresql.TSQUERY)


class Statements:
    """Statements about the rows of ``STAGE`` that have the destination's columns."""

    def __init__(self, database: Database, destination: Destination) -> None:
        self.database = database
        self.destination = destination

    @cached_property
    def table(self) -> str:
        """The target's name."""
        return self.database.quoted_table(self.destination.table)

    @cached_property
    def join(self) -> str:
        """The staged rows that are there, with those of the target."""
        return f"FROM {STAGE} AS stage JOIN {self.table} AS target ON {self.same}"

    @cached_property
    def same(self) -> str:
        """That a row of the stage and one of the target have the same key."""
        return same_key(self.database, self.destination, "target", "stage")

    @cached_property
    def differences(self) -> dict[str, str]:
        """That a column differs between the target and the stage, by the column."""
        return differences(self.database, self.destination, "target", "stage")

    @cached_property
    def changed(self) -> str:
        """That any column differs."""
        return f"({' OR '.join(self.differences.values()) or 'FALSE'})"

    @cached_property
    def counts(self) -> str:
        """How many rows are there already, and how many of them differ."""
        return f"SELECT count(*), sum(CASE WHEN {self.changed} THEN 1 ELSE 0 END) {self.join}"

    @cached_property
    def known(self) -> str:
        """Which rows are there already."""
        return f"SELECT stage.{ROW} {self.join} ORDER BY stage.{ROW}"

    @cached_property
    def unknown(self) -> str:
        """Which rows are not there."""
        return f"SELECT stage.{ROW} FROM {STAGE} AS stage WHERE {self.is_new} ORDER BY stage.{ROW}"

    @cached_property
    def is_new(self) -> str:
        """That a staged row is not there."""
        return f"NOT EXISTS (SELECT 1 FROM {self.table} AS target WHERE {self.same})"

    @cached_property
    def update(self) -> str | None:
        """Update the rows that are there where they differ; ``None`` where there is nothing to set."""
        sets = assignments(self.database, self.destination, "stage")
        if not sets:
            return None
        return f"UPDATE {self.table} AS target SET {sets} FROM {STAGE} AS stage WHERE {self.same} AND {self.changed}"

    def remove(self, removal: Removal) -> str:
        """Remove the rows of the target that have the keys of the stage."""
        if removal.marks:
            return (
                f"UPDATE {self.table} AS target SET {self.marking(removal)} FROM {STAGE} AS stage "
                f"WHERE {self.same} AND {removal.condition}"
            )
        return f"DELETE FROM {self.table} AS target USING {STAGE} AS stage WHERE {self.same} AND {removal.condition}"

    def marking(self, removal: Removal) -> str:
        """What an UPDATE sets that marks removed rows."""
        return ", ".join(f"{self.database.quoted(name)} = {value}" for name, value in removal.marks.items())


def same_key(database: Database, destination: Destination, left: str, right: str) -> str:
    """The SQL condition that two rows have the same key, as the unique index of the key sees it."""
    cells = ((key_cell(database, destination, name, side) for side in (left, right)) for name in destination.key)
    return " AND ".join(" = ".join(pair) for pair in cells)


def key_cell(database: Database, destination: Destination, name: str, side: str) -> str:
    """A cell of the key, to be compared."""
    collation, column = destination.collations.get(name), destination.column(name)
    cell = f"{side}.{database.quoted(name)}"
    if _is_enum_of_domain(column):
        type: Any = column.type
        cell = f"CAST({cell} AS {'.'.join(database.quoted(part) for part in (type.schema, type.name) if part)})"
    return cell + (f" COLLATE {collation}" if collation else "")


def upsert_clause(database: Database, destination: Destination) -> str:
    """What to do with a row whose key is there: nothing, or an update where it differs."""
    target = f"ON CONFLICT ({database.names(destination.key)}) DO"
    sets = assignments(database, destination, "EXCLUDED")
    if destination.mode not in UPDATING or not sets:
        return f"{target} NOTHING"
    table = database.quoted_table(destination.table)
    changes = " OR ".join(differences(database, destination, table, "EXCLUDED").values())
    return f"{target} UPDATE SET {sets} WHERE {changes}"


def new_values(database: Database, destination: Destination, source: str) -> dict[str, str]:
    """The SQL of what a known row gets, by column: the source's values, and defaults."""
    return {name: f"{source}.{database.quoted(name)}" for name in destination.others} | dict(destination.defaults)


def assignments(database: Database, destination: Destination, source: str) -> str:
    """What an UPDATE of a known row sets."""
    values = new_values(database, destination, source)
    return ", ".join(f"{database.quoted(name)} = {value}" for name, value in values.items())


def differences(database: Database, destination: Destination, target: str, source: str) -> dict[str, str]:
    """The SQL conditions that a known row gets something else than it has, by column."""
    return {
        name: difference(database, destination, name, f"{target}.{database.quoted(name)}", value)
        for name, value in new_values(database, destination, source).items()
    }


def difference(database: Database, destination: Destination, name: str, before: str, after: str) -> str:
    """The SQL condition that two values of a column differ; what looks different is, whatever the collation."""
    column = destination.column(name)
    by_text = _compares_by_text(column.type) or _is_enum_of_domain(column)
    cells = [before, after]
    if by_text:
        cells = [f"CAST({cell} AS TEXT)" for cell in cells]
    if by_text or _has_collation(column.type):
        cells = [f"{cell} COLLATE {database.exact_collation}" for cell in cells]
    differs = f" {database.differs} ".join(cells)
    same = database.same_meaning(column.type, *cells)
    return f"({differs} AND NOT {same})" if same else differs


def _compares_by_text(type: TypeEngine[Any]) -> bool:
    # these may have no equality, or one by which different texts are equal
    if isinstance(type, ARRAY):
        return _compares_by_text(type.item_type)
    is_json = isinstance(type, JSON) and type.__visit_name__ != "JSONB"
    return is_json or isinstance(type, _BY_TEXT) or type.__class__ is String  # "char", which has no collation


def _has_collation(type: TypeEngine[Any]) -> bool:
    if isinstance(type, ARRAY):
        return _has_collation(type.item_type)
    return isinstance(type, String) and not isinstance(type, Enum)


def _is_enum_of_domain(column: Column[Any]) -> bool:
    """Whether it is of a domain over an enum, for which PostgreSQL has no equality."""
    return isinstance(column.type, Enum) and bool(column.info.get(IS_DOMAIN))
