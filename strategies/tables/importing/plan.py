"""What an import's first phase leaves for the second one, as JSON; the table that it creates included."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy
from pydantic import BaseModel, Field
from sqlalchemy import Column, Engine, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.lines import place_of
from batch_jobs.strategies.tables.databases.naming import new_table
from batch_jobs.strategies.tables.importing.inference import Decision
from batch_jobs.strategies.tables.importing.inputs import PlannedFile

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
    limits = database_of(engine)
    if len(columns) > limits.max_columns:
        raise JobRefused(
            f"the file has {len(columns)} columns and a table of {limits.name} holds {limits.max_columns}; "
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


class Counts(BaseModel):
    """Rows by what will become of them."""

    create: int = 0
    update: int = 0
    unchanged: int = 0
    reject: int = 0


class SampledChange(BaseModel):
    """One field that an import changes, before and after."""

    line: int
    key: dict[str, str]
    column: str
    before: str | None
    after: str | None


class PlacedChange(SampledChange):
    """A change of a row in one of several files; the line is that within its file."""

    file: str


Shown = list[PlacedChange | SampledChange]


def placed(shown: Shown, files: Sequence[PlannedFile]) -> Shown:
    """What is shown, with its file where there are several."""
    if len(files) == 1:
        return shown
    places = [place_of(change.line) for change in shown]
    return [
        PlacedChange(**{**change.model_dump(), "line": line, "file": files[file].key})
        for change, (file, line) in zip(shown, places, strict=True)
    ]


class ImportPlan(BaseModel):
    """Everything decided before the first row is written.

    ``mapping`` goes from the file's columns to the table's; ``file`` says how the file was read, ``found`` is for a
    reader to begin with; ``files`` tell whether they are still the same, ``checksum`` is that of all; ``creates`` has
    the columns of a table to create; ``repeats`` is the key of the file of rows whose key an earlier row has.
    """

    checksum: str = ""
    files: list[PlannedFile] = Field(default_factory=list)
    file: dict[str, str] = Field(default_factory=dict)
    found: dict[str, Any] | None = None
    mapping: dict[str, str]
    key: list[str]
    creates: list[ColumnToCreate] | None = None
    total: int = 0
    counts: Counts = Field(default_factory=Counts)
    sample: Shown = Field(default_factory=list)
    repeats: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The plan as ``job.plan`` keeps it."""
        return self.model_dump(mode="json")
