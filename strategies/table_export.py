"""The built-in strategy that writes a table or a query to a file."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

from pydantic import BaseModel, Field, model_validator
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.context_fields import Query, TableName
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import ContextRefused, JobRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.databases.reading import Source
from batch_jobs.strategies.tables.exporting import Export
from batch_jobs.strategies.tables.formats.format import (
    FormatName,
    Rows,
    all_formats,
    get_format,
    refuse_unheeded_writing,
)
from batch_jobs.strategies.tables.formats.writing import WritingOptions, write_options
from batch_jobs.strategies.tables.selecting import (
    SelectedColumn,
    Selection,
    check_query,
    select_query,
    select_table,
)
from batch_jobs.strategies.tables.stopping import stoppable

#: Options that the plan shows where they are given.
SHOWN = {*WritingOptions.model_fields, "delimiter", "order_by", "rename"}


class Exporting(BaseModel):
    """What to export, and in which format."""

    table: TableName | None = Field(
        None, title="Table", description="A table or view: name or schema.name; give this or a query"
    )
    query: Query | None = Field(
        None, title="Query", description="One SELECT statement, run read-only; give this or a table"
    )
    columns: list[str] = Field(
        default_factory=list, title="Columns", description="Which columns, in this order; default all"
    )
    order_by: list[str] = Field(
        default_factory=list,
        title="Order by",
        description="Columns to order by, with - before one for descending; default a table's primary key",
    )
    rename: dict[str, str] = Field(
        default_factory=dict, title="Rename", description="Column -> its name in the file; others keep theirs"
    )
    format: FormatName = Field("csv", title="Format", description="Of the file")
    delimiter: str | None = Field(
        None, title="Delimiter", description="Between the cells of a CSV file; default a comma"
    )
    neutralise: bool = Field(
        True,
        title="Neutralise formulas",
        description="Put ' before text that a spreadsheet would run, in files that spreadsheets open; "
        "table-import takes it away again",
    )

    @model_validator(mode="after")
    def _table_or_query(self) -> Self:
        if bool(self.table) == bool(self.query):
            raise ValueError("give either table or query")
        return self


class TableExportContext(WritingOptions, Exporting):
    """What to export, and how to write it."""


class TableExport(BatchJobStrategy):
    """Export a table or a query to a CSV, TSV, JSON lines, Parquet or Excel file."""

    identifier = "table-export-strategy"
    batch_type = "table-export"
    Context = TableExportContext

    def prepare(self, context: TableExportContext) -> TableExportContext:
        """Refuse what cannot be meant."""
        if context.query:
            check_query(context.query)
        if context.delimiter is not None and not (_is_delimiter(context.delimiter) and _has_delimiter(context.format)):
            formats = " or ".join(format.name for format in all_formats() if _has_delimiter(format.name))
            raise ContextRefused(
                f"delimiter is one character, not a quote or a line end, and only for format {formats}"
            )
        refuse_unheeded_writing(context, get_format(context.format))
        return context

    def pre_process(self, job: JobRun) -> None:
        """Count the rows and say what will be written."""
        with _reading(job) as (source, connection):
            selection = _select(job, source, connection)
            job.progress.total = selection.count(connection)
            nests = get_format(job.context.format).nests
            json_nulls = selection.count_json_nulls(connection, database_of(job.target)) if nests else {}
        context: TableExportContext = job.context
        rows = min(job.progress.total, context.rows_per_file or job.progress.total)
        get_format(context.format).check_size(rows, len(selection.columns))
        names = ", ".join(column.name for column in _named(context, selection))
        job.describe("export-rows", "To export", f"{job.progress.total} rows of {_title(context)} as {context.format}")
        job.describe("export-columns", "Columns", names)
        if json_nulls:
            job.plan["json_nulls"] = json_nulls
            job.describe("export-json-null", "JSON null", _of_json_nulls(json_nulls))
        taken = context.model_dump(include=SHOWN, exclude_defaults=True)
        if taken:
            job.describe("export-options", "Options", ", ".join(f"{name} {value!r}" for name, value in taken.items()))

    def process(self, job: JobRun) -> None:
        """Write the file from one snapshot; a stopped or failed export leaves none."""
        context: TableExportContext = job.context
        options = write_options(context, context.delimiter, context.neutralise, context.rename)
        export = Export(job, _title(context), get_format(context.format), context, options)
        written = 0

        def advance(count: int) -> None:
            nonlocal written
            written += count
            job.progress.advance(count)

        with _reading(job) as (source, connection):
            selection = _select(job, source, connection)
            export.write(Rows(source, connection, selection, _named(context, selection)), advance)
        job.progress.total = written  # others may have written since they were counted

    def build_template(self) -> str:
        """There is no input."""
        return ""


@contextmanager
def _reading(job: JobRun) -> Iterator[tuple[Source, Connection]]:
    """What reads the table or query, and its transaction, which a stop or the end of its time ends at once."""
    database, is_query = database_of(job.target), bool(job.context.query)
    source = database.query_source(job.target, job.access) if is_query else database.source(job.target)
    seconds = job.access.query_seconds if is_query else None
    with source.reading() as connection, stoppable(job, connection, seconds):
        yield source, connection


def _select(job: JobRun, source: Source, connection: Connection) -> Selection:
    context: TableExportContext = job.context
    if context.table:
        return select_table(job.target, context.table, context.columns, context.order_by, job.access)
    query = context.query or ""
    return select_query(query, source.query_columns(connection, query), context.columns, context.order_by)


def _named(context: TableExportContext, selection: Selection) -> list[SelectedColumn]:
    """The columns as the file has them."""
    there = {column.name: column for column in selection.columns}
    dates = context.date_format if isinstance(context.date_format, dict) else {}
    for option, names in (("rename", context.rename), ("date_format", dates)):
        absent = [name for name in names if name not in there]
        if absent:
            raise JobRefused(
                f"{option} names {shown(absent)}, which is not exported; exported are: {shown(list(there))}"
            )
    no_times = [name for name in dates if not (there[name].is_moment or there[name].is_time)]
    if no_times:
        raise JobRefused(f"date_format names {shown(no_times)}, which has no days or times")
    named = [replace(column, name=context.rename.get(column.name, column.name)) for column in selection.columns]
    doubled = [name for name, uses in Counter(column.name for column in named).items() if uses > 1]
    if doubled:
        raise JobRefused(f"two columns would be called {shown(doubled)} in the file; rename one otherwise")
    return named


def _of_json_nulls(counts: dict[str, int]) -> str:
    found = "; ".join(
        f"{name}: {'1 value is' if count == 1 else f'{count} values are'} JSON null" for name, count in counts.items()
    )
    becomes = "becomes" if sum(counts.values()) == 1 else "become"
    return f"{found} and {becomes} null, which an import takes for no value; csv, tsv, xlsx and parquet keep them apart"


def _title(context: TableExportContext) -> str:
    return context.table or "query"


def _is_delimiter(mark: str) -> bool:
    return len(mark) == 1 and mark.isascii() and mark not in "\"'\r\n\\" and not mark.isalnum()


def _has_delimiter(format: str) -> bool:
    return "delimiter" in get_format(format).write_options
