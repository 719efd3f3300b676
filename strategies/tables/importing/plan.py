"""What an import's first phase leaves for the second one, as JSON; the table that it creates included."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Column, Connection, Engine, Table, types
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.database import Database, database_of
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.lines import place_of
from batch_jobs.strategies.tables.changes.entries import Entry
from batch_jobs.strategies.tables.databases.naming import new_table
from batch_jobs.strategies.tables.importing.families import Decision
from batch_jobs.strategies.tables.importing.inputs import PlannedFile
from batch_jobs.strategies.tables.importing.newtypes import (
    exists,
    least_row_bytes,
    made_type,
    type_arguments,
    type_name,
)

CELL_SHOWN = 200  # characters of a value in the sample


class ColumnToCreate(BaseModel):
    """A column of the table to create: its type, and why it was chosen.

    ``type`` is SQLAlchemy's name of it, ``item`` that of an array's elements; ``cell`` and ``line`` are the cell that
    decided, if one did.
    """

    name: str
    type: str
    arguments: dict[str, Any]
    why: str
    item: str | None = None
    cell: str | None = None
    line: int | None = None

    @classmethod
    def decided(cls, name: str, decision: Decision) -> "ColumnToCreate":
        """The column that was decided on."""
        item = decision.type.item_type if isinstance(decision.type, types.ARRAY) else None
        cell = decision.cell
        return cls(
            name=name,
            type=type_name(decision.type),
            arguments=type_arguments(item or decision.type),
            why=decision.why,
            item=None if item is None else type_name(item),
            cell=cell.text if cell else None,
            line=place_of(cell.line)[1] if cell else None,
        )

    def column(self, key: list[str]) -> Column[Any]:
        """The column for SQLAlchemy."""
        made = made_type(self.item or self.type, self.arguments)
        return Column(
            self.name,
            types.ARRAY(made) if self.item else made,
            primary_key=self.name in key,
            autoincrement=False,
        )

    def __str__(self) -> str:
        """For people: its name and type."""
        return f"{self.name} {self.type}" + (f" of {self.item}" if self.item else "")


def table_to_create(
    engine: Engine, name: str, columns: list[ColumnToCreate], key: list[str], access: DataAccess
) -> Table:
    """The table, not created yet.

    Raises:
        JobRefused: this database cannot have such a table, or a job with this access may not use it.
    """
    limits = database_of(engine)
    refuse_wide_table(limits, len(columns))
    too_long = [column.name for column in columns if len(column.name.encode()) > limits.max_name_bytes]
    if too_long:
        raise JobRefused(f"{too_long[0]!r} is too long for a column's name; map it to a shorter one with columns")
    _refuse_equal_names(limits, [column.name for column in columns])
    table = new_table(engine, name, [column.column(key) for column in columns], access)
    for column in table.columns:
        if not exists(column.type, engine.dialect):
            raise JobRefused(f"{limits.name} has no type {column.type} for the column {column.name}; change types")
    return table


def refuse_wide_table(database: Database, columns: int) -> None:
    """Refuse a new table of more columns than the database has.

    Raises:
        JobRefused: says how many there may be.
    """
    most = database.max_columns - 1  # where rows wait to be compared, each has a number too
    if columns > most:
        raise JobRefused(
            f"the file has {columns} columns and an import into a new table of {database.name} takes {most}; "
            'leave some out with columns {"name": null}'
        )


def _refuse_equal_names(database: Database, names: list[str]) -> None:
    first: dict[str, str] = {}
    for name in names:
        same = first.setdefault(database.column_identity(name), name)
        if same != name:
            raise JobRefused(
                f"{same!r} and {name!r} are one column to {database.name}; give one another name with columns "
                f'{{"{name}": "{name}_2"}}, or leave it out'
            )


def check_row_size(database: Database, table: Table, always_filled: Collection[str]) -> None:
    """Refuse a table of which no row would fit into the database.

    Args:
        database: where it will be.
        table: which is not created yet.
        always_filled: the columns that have a value in every row.

    Raises:
        JobRefused: it says how many bytes fit.
    """
    if database.max_row_bytes is None:
        return
    least = least_row_bytes([column.type for column in table.columns if column.name in always_filled])
    if least > database.max_row_bytes:
        raise JobRefused(
            f"each row needs at least {least:,} bytes for its {len(table.columns)} columns and one of {database.name} "
            f'holds {database.max_row_bytes:,}; leave some columns out with columns {{"name": null}}, or make them '
            "smaller with types, such as smallint"
        )


def create(connection: Connection, table: Table) -> None:
    """Create the table in the connection's transaction.

    Raises:
        JobRefused: the database does not want to.
    """
    try:
        connection.execute(CreateTable(table))
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise JobRefused(f"the table {table.fullname} could not be created: {reason}") from error


class Counts(BaseModel):
    """Rows by what will become of them."""

    create: int = 0
    update: int = 0
    unchanged: int = 0
    remove: int = 0
    reject: int = 0
    left_out: int = Field(default=0, exclude_if=lambda rows: rows == 0)


class ColumnChanges(BaseModel):
    """Rows that change in a column, and how many of them lose their value."""

    changed: int = 0
    emptied: int = 0


class Sampled(BaseModel):
    """Something about a row of the input; ``file`` is given where there are several."""

    line: int
    file: str | None = Field(default=None, exclude_if=lambda file: file is None)


class SampledReject(Sampled):
    """One of the first reasons for refusing rows."""

    column: str | None
    message: str


class SampledChange(Sampled):
    """One field that an import changes, before and after."""

    key: Mapping[str, str | None]
    column: str | None
    before: str | None
    after: str | None

    @classmethod
    def of(cls, entry: Entry) -> "SampledChange":
        """What is shown of an entry of the changes."""
        before, after = _cut(entry.before), _cut(entry.after)
        return cls(line=entry.line or 0, key=entry.key, column=entry.column, before=before, after=after)


def _cut(text: str | None) -> str | None:
    return text and text[:CELL_SHOWN]


def place_lines(shown: Sequence[Sampled], files: Sequence[str]) -> None:
    """Say of what is shown on which line of which file it is, where there are several."""
    for sampled in shown if len(files) > 1 else ():
        file, sampled.line = place_of(sampled.line)
        sampled.file = files[file]


class ImportPlan(BaseModel):
    """Everything decided before the first row is written.

    ``frame`` are the columns that a strategy in pandas is given, with their types; ``mapping`` goes from the file's
    columns, or those that it made of them, to the table's; ``options`` are those that were given; ``file`` says how
    the file was read, ``found`` is for a reader to begin with; ``files`` tell whether they are still the same, and
    ``checksum`` is that of all; ``creates`` has the columns of a table to create; ``repeats`` is the key of the file of
    rows whose key an earlier row has.
    ``columns`` says by column of the table how many rows change in it; ``sample``, ``rejects`` and ``removed`` are the
    first changes, the first rejects, and the keys of the first rows to remove, of which there may be ``max_removed``;
    ``kept`` are columns of the file that known rows do not get anew; ``refused`` is why the job goes no further.
    ``marks`` are where parts of the input may begin, and ``uncut`` is why none may. ``header`` is what
    ``header_of`` makes of the file's columns.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    checksum: str = ""
    files: list[PlannedFile] = Field(default_factory=list)
    options: dict[str, Any] = Field(default_factory=dict)
    file: dict[str, str] = Field(default_factory=dict)
    found: dict[str, Any] | None = Field(default=None, alias="_found")
    frame: list[ColumnToCreate] | None = Field(default=None, exclude_if=lambda frame: frame is None)
    mapping: dict[str, str]
    key: list[str]
    creates: list[ColumnToCreate] | None = None
    total: int = 0
    counts: Counts = Field(default_factory=Counts)
    columns: dict[str, ColumnChanges] = Field(default_factory=dict)
    sample: list[SampledChange] = Field(default_factory=list)
    rejects: list[SampledReject] = Field(default_factory=list)
    removed: list[dict[str, str]] = Field(default_factory=list)
    max_removed: int | None = None
    kept: list[str] = Field(default_factory=list)
    refused: str | None = None
    repeats: str | None = Field(default=None, alias="_repeats")
    marks: list[dict[str, Any]] = Field(default_factory=list, alias="_marks")
    uncut: str | None = Field(default=None, alias="_uncut")
    header: str | None = Field(default=None, alias="_header")

    def as_json(self) -> dict[str, Any]:
        """The plan as ``job.plan`` keeps it."""
        return self.model_dump(mode="json")
