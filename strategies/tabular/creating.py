"""The table that an import creates, kept in the plan as JSON between the two phases."""

from typing import Any

import sqlalchemy
from pydantic import BaseModel
from sqlalchemy import Column, Engine, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeEngine

from strategies.errors import JobRefused
from strategies.tabular.inference import Decision
from strategies.tabular.loading import loader_class
from strategies.tabular.tables import new_table

_TYPE_ARGUMENTS = ("precision", "scale", "timezone", "length")


class ColumnToCreate(BaseModel):
    """A column of the table to create: its SQLAlchemy type by name, and why it was chosen."""

    name: str
    type: str
    arguments: dict[str, Any]
    why: str

    @classmethod
    def decided(cls, name: str, decision: Decision) -> "ColumnToCreate":
        """The column that was decided on."""
        given = {argument: getattr(decision.type, argument, None) for argument in _TYPE_ARGUMENTS}
        arguments = {argument: value for argument, value in given.items() if value not in (None, False)}
        return cls(name=name, type=type(decision.type).__name__, arguments=arguments, why=decision.why)

    def column(self, key: list[str]) -> Column[Any]:
        """The column for SQLAlchemy."""
        kind: type[TypeEngine[Any]] = getattr(sqlalchemy, self.type)
        return Column(self.name, kind(**self.arguments), primary_key=self.name in key, autoincrement=False)


def table_to_create(engine: Engine, name: str, columns: list[ColumnToCreate], key: list[str]) -> Table:
    """The table, not created yet.

    Raises:
        JobRefused: this database cannot have such a table.
    """
    limits = loader_class(engine)
    if len(columns) > limits.max_columns:
        raise JobRefused(
            f"the file has {len(columns)} columns and a table of {engine.dialect.name} holds {limits.max_columns}; "
            'leave some out with columns {"name": null}'
        )
    too_long = [column.name for column in columns if len(column.name.encode()) > limits.max_name_bytes]
    if too_long:
        raise JobRefused(f"{too_long[0]!r} is too long for a column's name; map it to a shorter one with columns")
    return new_table(engine, name, [column.column(key) for column in columns])


def create(engine: Engine, table: Table) -> None:
    """Create the table unless it is there, as it is when an earlier attempt got that far.

    Raises:
        JobRefused: the database does not want to.
    """
    try:
        with engine.begin() as connection:
            connection.execute(CreateTable(table, if_not_exists=True))
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise JobRefused(f"the table {table.fullname} could not be created: {reason}") from error
