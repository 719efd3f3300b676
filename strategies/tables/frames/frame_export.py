"""Writing a table or a query to a file: what ``table-export`` does, and strategies that change the rows before."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import ContextRefused, JobRefused, StrategyIncomplete, count_rows
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.cut_export import PARTS_AT_A_TIME, CutExport
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
from batch_jobs.strategies.tables.ranges import NotCut, RowRange
from batch_jobs.strategies.tables.selecting import (
    SelectedColumn,
    Selection,
    check_query,
    marks,
    select_query,
    select_table,
)
from batch_jobs.strategies.tables.stopping import stoppable

if TYPE_CHECKING:
    import pandas as pd

    from batch_jobs.strategies.tables.frames.made_rows import MadeSource


class FileOptions(BaseModel):
    """Which format a file has, and what its columns are called."""

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


class ExportOptions(WritingOptions, FileOptions):
    """How a file is written."""


#: Options that the plan shows where they are given.
SHOWN = {*WritingOptions.model_fields, "delimiter", "order_by", "rename"}


@dataclass(frozen=True)
class Exported:
    """Which rows an export has: those of a table or of a query.

    Args:
        file: what the file is called, without an ending.
        table: or the query.
        query: with values for its marks.
        columns: which of them; all where there are none.
        order_by: by which of them.
        values: what the query's marks stand for.
        access: what of the target somebody may use who chose them; ``None`` where the strategy's author did.
    """

    file: str
    table: str | None = None
    query: str | None = None
    columns: list[str] = field(default_factory=list)
    order_by: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    access: DataAccess | None = None

    @property
    def title(self) -> str:
        """What it is called to a person."""
        return self.table or "query"


class FrameExport(CutExport, abstract=True):
    """Write a table or a query to a file, changed on its way by ``transform``.

    A subclass has a ``table`` or a ``query``; see docs/writing-a-strategy.md. Without a ``transform`` the rows are
    written as they are in the database.
    """

    #: A table or view: name or schema.name.
    table: ClassVar[str | None] = None
    #: One SELECT statement, run read-only; ``:name`` stands for the value of that field of the context.
    query: ClassVar[str | None] = None

    class Context(ExportOptions):
        """What every such export can be asked for."""

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(abstract=abstract, **kwargs)
        if not abstract and cls.exported is FrameExport.exported:
            _require_rows(cls)

    def transform(self, frame: "pd.DataFrame", job: JobRun) -> "pd.DataFrame":
        """What becomes of some rows of the result; they are written as they are returned.

        It is called for the preview and again for the run, with pages of any size, and gives the same each time.

        Args:
            frame: rows after each other, in columns of Arrow's types, which are those of the result's columns and the
                same in every frame. It may be changed.
            job: which job it is for, such as its ``job.context``.

        Returns:
            The rows to write, in the same columns each time.
        """
        return frame

    def exported(self, job: JobRun) -> Exported:
        """Which rows are exported."""
        values = {name: getattr(job.context, name) for name in marks(self.query or "")}
        plain = {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}
        return Exported(self.batch_type, self.table, self.query, values=plain)

    def prepare(self, context: Any) -> Any:
        """Refuse what cannot be meant."""
        if context.delimiter is not None and not (_is_delimiter(context.delimiter) and _has_delimiter(context.format)):
            formats = " or ".join(format.name for format in all_formats() if _has_delimiter(format.name))
            raise ContextRefused(
                f"delimiter is one character, not a quote or a line end, and only for format {formats}"
            )
        refuse_unheeded_writing(context, get_format(context.format))
        return context

    def pre_process(self, job: JobRun) -> None:
        """Count the rows and say what will be written."""
        context, exported, format = job.context, self.exported(job), get_format(job.context.format)
        with _reading(job, exported) as (source, connection):
            selection = _select(job, exported, source, connection)
            job.progress.total = rows = selection.count(connection)
            nulls = selection.count_json_nulls(connection, database_of(job.target)) if format.nests else {}
            columns = selection.columns
            if self._changes_rows:
                rows = 0  # nobody knows how many it will make
                with closing(self._made(job, source, connection, selection, is_preview=True)) as made:
                    columns = made.columns
        format.check_size(min(rows, context.rows_per_file or rows), len(columns))
        names = ", ".join(column.name for column in _named(context, columns))
        found = f"{job.progress.total} rows of {exported.title}"
        job.describe("export-rows", "To export", f"{found} as {context.format}")
        job.describe("export-columns", "Columns", names)
        if nulls:
            job.plan["json_nulls"] = nulls
            job.describe("export-json-null", "JSON null", _of_json_nulls(nulls))
        taken = context.model_dump(include=SHOWN, exclude_defaults=True)
        if taken:
            job.describe("export-options", "Options", ", ".join(f"{name} {value!r}" for name, value in taken.items()))

    def export_of(self, job: JobRun) -> Export:
        """The file that the job writes."""
        context = job.context
        options = write_options(context, context.delimiter, context.neutralise, context.rename)
        return Export(job, self.exported(job).file, get_format(context.format), context, options)

    def ranges(self, job: JobRun, size: int) -> list[dict[str, Any]]:
        """By the order of a table's rows."""
        exported = self.exported(job)
        if exported.query:
            raise NotCut("a query is read in one go")
        if self._changes_rows:
            raise NotCut("transform makes the columns of the first rows")
        count = self.parts_of(job, PARTS_AT_A_TIME * size)
        if count < 2:
            return []
        with _reading(job, exported) as (source, connection):
            selection = _select(job, exported, source, connection)
            return [asdict(found) for found in source.ranges(connection, selection, job.progress.total or 0, count)]

    def write_rows(self, job: JobRun, export: Export, snapshot: str | None) -> None:
        """Write them as they come."""
        context, exported = job.context, self.exported(job)
        with _reading(job, exported, snapshot) as (source, connection):
            selection = _select(job, exported, source, connection)
            if job.partition is not None:
                selection = RowRange(**job.partition.plan).within(selection, database_of(job.target))
            if self._changes_rows:
                self._write_made(job, export, source, connection, selection)
            else:
                _write(job, export, Rows(source, connection, selection, _named(context, selection.columns)))

    def build_template(self) -> str:
        """There is no input."""
        return ""

    @property
    def _changes_rows(self) -> bool:
        return type(self).transform is not FrameExport.transform

    def _write_made(
        self, job: JobRun, export: Export, source: Source, connection: Connection, selection: Selection
    ) -> None:
        from batch_jobs.strategies.tables.frames.made_rows import MadeRows

        with closing(self._made(job, source, connection, selection)) as made:
            columns = _named(job.context, made.columns)
            rows = MadeRows(made, connection, replace(selection, columns=made.columns), columns)
            export.write(rows, lambda _written: None)
        outcome = made.outcome
        job.progress.total = outcome.read  # others may have written since they were counted
        if outcome.left_out:
            job.describe("export-left-out", "Left out", f"{count_rows(outcome.left_out)} by transform")
        if outcome.added:
            job.describe("export-added", "Added", f"{count_rows(outcome.added)} by transform")

    def _made(
        self, job: JobRun, source: Source, connection: Connection, selection: Selection, is_preview: bool = False
    ) -> "MadeSource":
        from batch_jobs.strategies.tables.frames.made_rows import MadeSource  # which needs pandas
        from batch_jobs.strategies.tables.frames.pages import Pages
        from batch_jobs.strategies.tables.frames.transforming import made_frame

        def done(count: int) -> None:
            if not is_preview:
                job.progress.advance(count)
            job.stop_if_asked()

        format = get_format(job.context.format)
        pages = Pages(source, connection, selection, format.nests)
        return MadeSource(
            pages.first(job.chunk_size) if is_preview else pages.read(job.chunk_size),
            selection.columns,
            lambda frame, place: made_frame(self, self.transform, frame, place, job),
            format,
            done,
        )


def _require_rows(cls: type[FrameExport]) -> None:
    """Refuse a strategy that does not say which rows it exports.

    Raises:
        StrategyIncomplete: says what it lacks.
    """
    if bool(cls.table) == bool(cls.query):
        raise StrategyIncomplete(cls.__name__, ["either a table or a query"])
    unknown = [name for name in marks(cls.query or "") if name not in cls.Context.model_fields]
    if unknown:
        raise StrategyIncomplete(cls.__name__, [f"the field {name} of its Context, for :{name}" for name in unknown])
    if cls.query:
        check_query(cls.query)


@contextmanager
def _reading(job: JobRun, exported: Exported, snapshot: str | None = None) -> Iterator[tuple[Source, Connection]]:
    """What reads the table or query, and its transaction, which a stop or the end of its time ends at once."""
    database, access = database_of(job.target), exported.access
    if exported.query is None or access is None:
        source, seconds = database.source(job.target), None
    else:
        source, seconds = database.query_source(job.target, access), access.query_seconds
    with source.reading(snapshot) as connection, stoppable(job, connection, seconds):
        yield source, connection


def _select(job: JobRun, exported: Exported, source: Source, connection: Connection) -> Selection:
    if exported.table:
        return select_table(job.target, exported.table, exported.columns, exported.order_by, exported.access)
    query, parameters = source.bound(connection, exported.query or "", exported.values)
    found = source.query_columns(connection, query, parameters)
    return select_query(query, found, exported.columns, exported.order_by, parameters)


def _write(job: JobRun, export: Export, rows: Rows) -> None:
    written = 0

    def advance(count: int) -> None:
        nonlocal written
        written += count
        job.progress.advance(count)

    export.write(rows, advance)
    job.progress.total = written  # others may have written since they were counted


def _named(context: ExportOptions, columns: list[SelectedColumn]) -> list[SelectedColumn]:
    """The columns as the file has them."""
    there = {column.name: column for column in columns}
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
    named = [replace(column, name=context.rename.get(column.name, column.name)) for column in columns]
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


def _is_delimiter(mark: str) -> bool:
    return len(mark) == 1 and mark.isascii() and mark not in "\"'\r\n\\" and not mark.isalnum()


def _has_delimiter(format: str) -> bool:
    return "delimiter" in get_format(format).write_options
