"""The built-in strategy that writes a table or a query to a file."""

from collections.abc import Iterator
from typing import BinaryIO, Literal, Self

from pydantic import BaseModel, Field, model_validator
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.databases.naming import refuse_own
from batch_jobs.strategies.tables.databases.reading import Source
from batch_jobs.strategies.tables.formats.csv import csv_header
from batch_jobs.strategies.tables.formats.writing import WRITERS
from batch_jobs.strategies.tables.formats.xlsx import check_size
from batch_jobs.strategies.tables.selecting import Selection, check_query, select_query, select_table

#: Formats whose lines the source writes, and what stands between their cells.
DELIMITERS = {"csv": ",", "tsv": "\t"}


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
    format: Literal["csv", "tsv", "jsonl", "parquet", "xlsx"] = Field("csv", title="Format", description="Of the file")
    delimiter: str | None = Field(
        None, title="Delimiter", description="Between the cells of a CSV file; default a comma"
    )
    neutralise: bool = Field(
        True,
        title="Neutralise formulas",
        description="Put ' before text that a spreadsheet would run (csv, tsv, xlsx); table-import takes it away again",
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
        if context.delimiter is not None and (context.format != "csv" or not _is_delimiter(context.delimiter)):
            raise ContextRefused("delimiter is one character, not a quote or a line end, and only for format csv")
        return context

    def pre_process(self, job: JobRun) -> None:
        """Count the rows and say what will be written."""
        source = database_of(job.target).source(job.target)
        with source.reading() as connection:
            selection = _select(job, source, connection)
            job.progress.total = selection.count(connection)
        if job.context.format == "xlsx":
            check_size(job.progress.total, len(selection.columns))
        names = ", ".join(column.name for column in selection.columns)
        job.describe(
            "export-rows", "To export", f"{job.progress.total} rows of {_title(job.context)} as {job.context.format}"
        )
        job.describe("export-columns", "Columns", names)

    def process(self, job: JobRun) -> None:
        """Write the file from one snapshot; a stopped or failed export leaves none."""
        source = database_of(job.target).source(job.target)
        context: TableExportContext = job.context
        rows = 0
        with job.write_output(f"{_title(context)}.{context.format}") as stream, source.reading() as connection:
            for count in _written(source, connection, _select(job, source, connection), context, stream):
                rows += count
                job.progress.advance(count)
                job.stop_if_asked()
        job.progress.total = rows  # others may have written since they were counted

    def build_template(self) -> str:
        """There is no input."""
        return ""


def _select(job: JobRun, source: Source, connection: Connection) -> Selection:
    context: TableExportContext = job.context
    if context.table:
        return select_table(job.target, context.table, context.columns, context.order_by)
    query = context.query or ""
    return select_query(query, source.query_columns(connection, query), context.columns, context.order_by)


def _written(
    source: Source, connection: Connection, selection: Selection, context: TableExportContext, stream: BinaryIO
) -> Iterator[int]:
    if context.format in DELIMITERS:
        delimiter = context.delimiter or DELIMITERS[context.format]
        stream.write(csv_header([column.name for column in selection.columns], delimiter))
        yield from source.copy_csv(connection, selection, delimiter, context.neutralise, stream)
        return
    with WRITERS[context.format](stream, selection.columns, context.neutralise) as writer:
        for batch in source.batches(connection, selection):
            writer.write(batch)
            yield batch.num_rows


def _title(context: TableExportContext) -> str:
    return context.table or "query"


def _is_delimiter(mark: str) -> bool:
    return len(mark) == 1 and mark.isascii() and mark not in "\"'\r\n\\" and not mark.isalnum()
