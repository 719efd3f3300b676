"""The built-in strategy that writes a table or a query to a file."""

from typing import Self

from pydantic import BaseModel, Field, model_validator
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.databases.naming import refuse_own
from batch_jobs.strategies.tables.databases.reading import Source
from batch_jobs.strategies.tables.formats.format import FormatName, Rows, WriteOptions, all_formats, get_format
from batch_jobs.strategies.tables.selecting import Selection, check_query, select_query, select_table


class TableExportContext(BaseModel):
    """What to export, and how to write it."""

    table: str | None = Field(
        None, title="Table", description="A table or view: name or schema.name; give this or a query"
    )
    query: str | None = Field(
        None, title="Query", description="One SELECT statement, run read-only; give this or a table"
    )
    columns: list[str] = Field(
        default_factory=list, title="Columns", description="Which columns, in this order; default all"
    )
    order_by: list[str] = Field(
        default_factory=list, title="Order by", description="Columns to order by; default a table's primary key"
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


class TableExport(BatchJobStrategy):
    """Export a table or a query to a CSV, TSV, JSON lines, Parquet or Excel file."""

    identifier = "table-export-strategy"
    batch_type = "table-export"
    Context = TableExportContext

    def prepare(self, context: TableExportContext) -> TableExportContext:
        """Refuse what cannot be meant."""
        refuse_own(context.query or context.table or "")
        if context.query:
            check_query(context.query)
        if context.delimiter is not None and not (_is_delimiter(context.delimiter) and _has_delimiter(context.format)):
            formats = " or ".join(format.name for format in all_formats() if _has_delimiter(format.name))
            raise ContextRefused(
                f"delimiter is one character, not a quote or a line end, and only for format {formats}"
            )
        return context

    def pre_process(self, job: JobRun) -> None:
        """Count the rows and say what will be written."""
        source = database_of(job.target).source(job.target)
        with source.reading() as connection:
            selection = _select(job, source, connection)
            job.progress.total = selection.count(connection)
        get_format(job.context.format).check_size(job.progress.total, len(selection.columns))
        names = ", ".join(column.name for column in selection.columns)
        job.describe(
            "export-rows", "To export", f"{job.progress.total} rows of {_title(job.context)} as {job.context.format}"
        )
        job.describe("export-columns", "Columns", names)

    def process(self, job: JobRun) -> None:
        """Write the file from one snapshot; a stopped or failed export leaves none."""
        source = database_of(job.target).source(job.target)
        context: TableExportContext = job.context
        format, options = get_format(context.format), WriteOptions(context.delimiter, context.neutralise)
        written = 0
        with job.write_output(f"{_title(context)}{format.suffixes[0]}") as stream, source.reading() as connection:
            selection = _select(job, source, connection)
            for count in format.write(Rows(source, connection, selection, selection.columns), stream, options):
                written += count
                job.progress.advance(count)
                job.stop_if_asked()
        job.progress.total = written  # others may have written since they were counted

    def build_template(self) -> str:
        """There is no input."""
        return ""


def _select(job: JobRun, source: Source, connection: Connection) -> Selection:
    context: TableExportContext = job.context
    if context.table:
        return select_table(job.target, context.table, context.columns, context.order_by)
    query = context.query or ""
    return select_query(query, source.query_columns(connection, query), context.columns, context.order_by)


def _title(context: TableExportContext) -> str:
    return context.table or "query"


def _is_delimiter(mark: str) -> bool:
    return len(mark) == 1 and mark.isascii() and mark not in "\"'\r\n\\" and not mark.isalnum()


def _has_delimiter(format: str) -> bool:
    return "delimiter" in get_format(format).write_options
