"""The built-in strategy that writes a table or a query to a file."""

from typing import Self

from pydantic import BaseModel, Field, model_validator

from batch_jobs.strategies.sdk.context_fields import Query, TableName
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.frames.frame_export import Exported, FrameExport
from batch_jobs.strategies.tables.selecting import check_query


class Wanted(BaseModel):
    """What to export."""

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

    @model_validator(mode="after")
    def _table_or_query(self) -> Self:
        if bool(self.table) == bool(self.query):
            raise ValueError("give either table or query")
        return self


class TableExportContext(FrameExport.Context, Wanted):
    """What to export, and how to write it."""


class TableExport(FrameExport):
    """Export a table or a query to a CSV, TSV, JSON lines, Parquet or Excel file."""

    identifier = "table-export-strategy"
    batch_type = "table-export"
    Context = TableExportContext  # type: ignore[assignment]  # it is a subclass; mypy takes a nested class for fixed

    def exported(self, job: JobRun) -> Exported:
        """What the job says, as far as it may."""
        context: TableExportContext = job.context
        name = context.table or "query"
        return Exported(name, context.table, context.query, context.columns, context.order_by, access=job.access)

    def prepare(self, context: TableExportContext) -> TableExportContext:
        """Refuse what cannot be meant."""
        if context.query:
            check_query(context.query)
        prepared: TableExportContext = super().prepare(context)
        return prepared
