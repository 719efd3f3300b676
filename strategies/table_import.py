"""The built-in strategy that loads a file into a table."""

from pydantic import BaseModel, Field

from batch_jobs.strategies.sdk.context_fields import TableName
from batch_jobs.strategies.tables.formats.options import ReadingOptions
from batch_jobs.strategies.tables.frames.frame_import import FrameImport
from batch_jobs.strategies.tables.importing.import_options import FormatOption, Loading
from batch_jobs.strategies.tables.importing.inputs import InputOptions
from batch_jobs.strategies.tables.importing.sync_options import SyncOptions
from batch_jobs.strategies.tables.values.options import ValueOptions

TEMPLATE = """\
code,name,price,stock,available_from
A-001,"Mug, blue",12.50,40,2026-01-15
A-002,"Plate 10"" white",8.00,120,2026-02-01
A-003,Bowl,9.90,,
"""


class Destination(BaseModel):
    """Where rows go, and which columns go where."""

    table: TableName = Field(
        title="Table",
        description="Where the rows go: table or schema.table; created when it does not exist",
        min_length=1,
    )
    key: list[str] = Field(
        default_factory=list,
        title="Key",
        description="Columns of the table that tell rows apart; default its primary key",
    )
    columns: dict[str, str | None] = Field(
        default_factory=dict,
        title="Columns",
        description="File column -> table column, or null to leave it out; others keep their name",
    )


class TableImportContext(SyncOptions, ValueOptions, ReadingOptions, FormatOption, Loading, Destination, InputOptions):
    """What to load and where, how the file is read, how its cells are understood, and what happens to other rows."""


class TableImport(FrameImport):
    """Load a CSV, TSV, JSON lines, Parquet or Excel file into a table."""

    identifier = "table-import-strategy"
    batch_type = "table-import"
    Context = TableImportContext  # type: ignore[assignment]  # it has all the same fields, and further ones

    def build_template(self) -> str:
        """A small CSV file."""
        return TEMPLATE
