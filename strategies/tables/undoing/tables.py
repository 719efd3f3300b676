"""The tables that a job changed, as they are by now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Engine, Table

from batch_jobs.strategies.sdk.change_log import Kind
from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.database import Database, database_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.databases.loading import Destination
from batch_jobs.strategies.tables.databases.naming import find_table, refuse_unwritable, shown
from batch_jobs.strategies.tables.importing.mapping import unique_key
from batch_jobs.strategies.tables.undoing.references import ForeignKeys, Place, Reference, Undeclared, has_index


@dataclass(frozen=True)
class UndoTable:
    """A table, and the key by which the log names its rows."""

    engine: Engine
    table: Table
    key: tuple[str, ...]
    collations: Mapping[str, str]
    foreign_keys: ForeignKeys

    @property
    def database(self) -> Database:
        """The target's."""
        return database_of(self.engine)

    @property
    def quoted(self) -> str:
        """Its name in SQL."""
        return self.database.quoted_table(self.table)

    @cached_property
    def place(self) -> Place:
        """Where it is."""
        return self.foreign_keys.place_of(self.table)

    @cached_property
    def columns(self) -> list[str]:
        """The columns that can be written."""
        return [column.name for column in self.table.columns if column.computed is None]

    @cached_property
    def references(self) -> list[Reference]:
        """The foreign keys of all tables that lead here."""
        return self.foreign_keys.to(self.place)

    @cached_property
    def slow_references(self) -> list[Reference]:
        """Those for which the database reads all of a table to see whether a row may be removed."""
        return [reference for reference in self.references if not has_index(self.engine, reference)]

    def destination(self, columns: list[str], mode: str, logged: bool = False) -> Destination:
        """Where rows of some columns go; columns that these lack are held against their defaults."""
        key = list(self.key)
        logged_by = self.key if logged else ()
        return Destination(self.table, columns, key, mode, self.collations, resets=True, logged_by=logged_by)


class UndoTables:
    """Finds the tables of a log, each once.

    Args:
        engine: of the target.
        access: which of them may be used.
        undeclared: references that no foreign key states.
    """

    def __init__(self, engine: Engine, access: DataAccess, undeclared: Sequence[Undeclared]) -> None:
        self._engine = engine
        self._access = access
        self._foreign_keys = ForeignKeys(engine, undeclared)
        self._tables: dict[str, Table | None] = {}
        self._found: dict[tuple[str, tuple[str, ...]], UndoTable | str] = {}

    def require_allowed(self, done: Mapping[str, set[Kind]]) -> None:
        """Refuse a job that changed tables which this one may not use; ``done`` says what it did in each.

        Raises:
            JobRefused: names the first of them, or says why one takes no rows.
        """
        for name, kinds in done.items():
            table = self.named(name)
            if table is not None:
                refuse_unwritable(self._engine, table, "sync" if "removed" in kinds else "update")

    def named(self, name: str) -> Table | None:
        """A table of the log as it is by now, ``None`` where there is none any more.

        Raises:
            JobRefused: it is not one that may be used.
        """
        if name not in self._tables:
            self._tables[name] = find_table(self._engine, name, self._access)
        return self._tables[name]

    def references_to(self, name: str) -> list[Reference]:
        """The foreign keys that lead to a table of the log."""
        table = self.named(name)
        return [] if table is None else self._foreign_keys.to(self._foreign_keys.place_of(table))

    def of(self, name: str, key: list[str]) -> UndoTable | str:
        """A table of the log, or how it was altered so that none of its rows can be found."""
        asked = (name, tuple(key))
        if asked not in self._found:
            self._found[asked] = self._find(name, key)
        return self._found[asked]

    def _find(self, name: str, key: list[str]) -> UndoTable | str:
        table = self.named(name)
        if table is None:
            return f"there is no table {name} any more"
        missing = [column for column in key if column not in table.columns]
        if missing:
            return f"{name} has no column {shown(missing)} any more"
        try:
            unique = unique_key(self._engine, table, key)
        except JobRefused:
            return f"{name} has no unique index on {shown(key)} any more"
        return UndoTable(self._engine, table, tuple(key), unique.collations, self._foreign_keys)
