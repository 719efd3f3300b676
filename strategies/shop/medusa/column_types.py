"""The kinds of columns that Medusa v1's tables are made of, so that the tables read like a list."""

from typing import Any

from sqlalchemy import JSON, Boolean, Column, DateTime, Enum, ForeignKey, Index, Integer, String, Table, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import TextClause

jsonb = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def identified() -> Column[Any]:
    """The ``id`` of nearly every table: the table's prefix and a ULID."""
    return Column("id", String, primary_key=True)


def varchars(*names: str) -> list[Column[Any]]:
    """Texts that may be absent."""
    return [Column(name, String) for name in names]


def needed(name: str, default: str | None = None) -> Column[Any]:
    """A text that must be there."""
    return Column(name, String, nullable=False, server_default=default)


def integers(*names: str) -> list[Column[Any]]:
    """Whole numbers that may be absent."""
    return [Column(name, Integer) for name in names]


def moments(*names: str) -> list[Column[Any]]:
    """Moments that may be absent."""
    return [Column(name, DateTime(timezone=True)) for name in names]


def flag(name: str, default: bool) -> Column[Any]:
    """Yes or no, never unknown."""
    return Column(name, Boolean, nullable=False, server_default=text("true" if default else "false"))


def times(*, soft: bool = False, metadata: bool = True) -> list[Column[Any]]:
    """When a row was made and changed; ``soft`` tables keep deleted rows, most have free ``metadata``."""
    now = text("CURRENT_TIMESTAMP")
    written = [
        Column(name, DateTime(timezone=True), nullable=False, server_default=now)
        for name in ("created_at", "updated_at")
    ]
    return [*written, *(moments("deleted_at") if soft else []), *([Column("metadata", jsonb)] if metadata else [])]


def choice(name: str, type_name: str, words: str, default: str | None = None, nullable: bool = False) -> Column[Any]:
    """One of some words: an enum of its own where the database has such."""
    return Column(name, Enum(*words.split(), name=type_name), nullable=nullable, server_default=default)


def reference(
    name: str, to: str, *, nullable: bool = True, ondelete: str | None = None, primary_key: bool = False
) -> Column[Any]:
    """A foreign key to another table's ``id``, or to the column named after a dot."""
    target = to if "." in to else f"{to}.id"
    key = ForeignKey(target, ondelete=ondelete)
    return Column(name, String, key, primary_key=primary_key, nullable=nullable and not primary_key)


def unique_while_live(table: Table, *columns: str) -> None:
    """Add a unique index over the rows that are not deleted."""
    unique_where(table, text("deleted_at IS NULL"), *columns)


def unique_where(table: Table, condition: TextClause, *columns: str) -> None:
    """Add a unique index over the rows that meet a condition."""
    name = f"uq_{table.name}_{'_'.join(columns)}"
    indexed = (table.c[column] for column in columns)
    Index(name, *indexed, unique=True, postgresql_where=condition, sqlite_where=condition)


def indexed(table: Table, *columns: str) -> None:
    """Add an index on each of these columns."""
    for name in columns:
        Index(f"ix_{table.name}_{name}", table.c[name])
