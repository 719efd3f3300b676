"""The way in which the exports of a shop run: one query, read in one snapshot, written as it comes."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, Field
from sqlalchemy import Connection, types

from batch_jobs.strategies.sdk.database import Database, database_of, driver_of
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.shop.exporting.filters import Condition, conditions
from batch_jobs.strategies.tables.cut_export import CutExport
from batch_jobs.strategies.tables.exporting import Export
from batch_jobs.strategies.tables.formats.format import FormatName, Rows, get_format, refuse_unheeded_writing
from batch_jobs.strategies.tables.formats.writing import WritingOptions, write_options
from batch_jobs.strategies.tables.selecting import SelectedColumn, Selection
from batch_jobs.strategies.tables.stopping import stoppable

DELIMITER = ";"
TEXT = types.Text()
UP, DOWN = " ASC", " DESC"
Way = Literal["ASC", "DESC"]


def _split(names: Any) -> Any:
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else names


#: Medusa: names between commas; a list of them will do as well.
Names = Annotated[list[str] | None, BeforeValidator(_split)]


class ListConfig(BaseModel):
    """Which entries, and in which order, as Medusa has it; ``take`` is the size of a page there and nothing here."""

    skip: int = Field(0, ge=0)
    take: int = Field(50, ge=1)
    order: dict[str, Way] = Field(default_factory=lambda: dict[str, Way](created_at="DESC"))
    relations: list[str] | None = None
    select: list[str] | None = None


class ShopExportContext(WritingOptions):
    """What to export, and how to write it."""

    filterable_fields: dict[str, Any] = Field(
        default_factory=dict, title="Filters", description="Which entries, by Medusa's names; default all"
    )
    list_config: ListConfig | None = Field(
        None, title="List", description="skip, take, order, select and relations, as Medusa has them"
    )
    batch_size: int | None = Field(None, title="At most", description="How many entries at most; default all", ge=0)
    format: FormatName = Field("csv", title="Format", description="Of the file")
    limit: int | None = Field(None, title="Page size", description="Goes into list_config as take", ge=1)
    offset: int | None = Field(None, title="Offset", description="Goes into list_config as skip", ge=0)
    order: str | None = Field(None, title="Order", description="A field, with - before it for descending")
    fields: Names = Field(None, title="Fields", description="Goes into list_config as select")
    expand: Names = Field(None, title="Expand", description="Goes into list_config as relations")


@dataclass(frozen=True)
class ExportColumn:
    """A column of the file: its header, the SQL for its cell, and the type of that."""

    header: str
    cell: str
    type: types.TypeEngine[Any] = TEXT


@dataclass(frozen=True)
class Chosen:
    """The query of the entries' ids and places, the one of their ids, whether these are all there are, their order."""

    placed: str
    ids: str
    everything: bool
    order: list[str]


@dataclass(frozen=True)
class ExportQuery:
    """What to read: the columns, the SQL from FROM on with its WITH before it, what to order by.

    What of ``order`` ends with DESC goes down; ``rows`` is how many rows there will be, ``None`` if each entry has one.
    """

    columns: list[ExportColumn]
    before: str
    source: str
    order: list[str]
    rows: int | None = None

    def selection(self) -> Selection:
        """The query with short names, since a header may be longer than a name may be in PostgreSQL."""
        cells = [f"{column.cell} AS c{number}" for number, column in enumerate(self.columns)]
        order = {f"place{number}": cell for number, cell in enumerate(self.order)}
        places = [f"{cell.removesuffix(UP).removesuffix(DOWN)} AS {place}" for place, cell in order.items()]
        select = f"({self.before}SELECT {', '.join([*cells, *places])} {self.source})"
        selected = [SelectedColumn(f"c{number}", column.type) for number, column in enumerate(self.columns)]
        return Selection(select, selected, list(order), frozenset(name for name in order if order[name].endswith(DOWN)))

    def named(self) -> list[SelectedColumn]:
        """The columns by their headers."""
        return [SelectedColumn(column.header, column.type) for column in self.columns]


class ShopExport(CutExport, abstract=True):
    """An export of entries of the shop.

    A subclass says what an entry is (``table``, ``noun``), which filters there are and which query reads them.
    """

    Context: ClassVar[type[BaseModel]] = ShopExportContext
    #: The entries' table as SQL names it, and what one of them is called.
    table: ClassVar[str]
    noun: ClassVar[str]
    #: Columns of the table by which entries can be ordered.
    orders: ClassVar[tuple[str, ...]]
    #: What Medusa can select of an entry, and which relations it can expand.
    fields: ClassVar[tuple[str, ...]]
    relations: ClassVar[tuple[str, ...]]
    #: What holds for every entry.
    always: ClassVar[tuple[str, ...]] = ()

    def prepare(self, context: ShopExportContext) -> ShopExportContext:
        """Put what Medusa takes apart into ``list_config``; refuse filters and orders that there are not."""
        config = context.list_config or ListConfig.model_validate({})
        if context.limit is not None:
            config.take = context.limit
        if context.offset is not None:
            config.skip = context.offset
        if context.order is not None:
            config.order = {context.order.removeprefix("-"): "DESC" if context.order.startswith("-") else "ASC"}
        config.select = context.fields if context.fields is not None else config.select
        config.relations = context.expand if context.expand is not None else config.relations
        unknown = [name for name in config.order if name not in self.orders]
        if unknown:
            raise ContextRefused(f"order has no {', '.join(unknown)}; there are: {', '.join(self.orders)}")
        conditions(context.filterable_fields, self.filters(Database.lower))
        self._refuse_unknown(config)
        refuse_unheeded_writing(context, get_format(context.format))
        nothing: dict[str, Any] = dict.fromkeys(("limit", "offset", "order", "fields", "expand"))
        return context.model_copy(update={"list_config": config, **nothing})

    def _refuse_unknown(self, config: ListConfig) -> None:
        for option, asked, known in (
            ("fields", config.select, self.fields),
            ("expand", config.relations, self.relations),
        ):
            # a relation may go on behind a point, such as variants.prices
            unknown = [name for name in asked or () if name.partition(".")[0] not in known]
            if unknown:
                raise ContextRefused(f"{option} has no {', '.join(unknown)}; there are: {', '.join(known)}")

    def pre_process(self, job: JobRun) -> None:
        """Count the entries."""
        with database_of(job.target).source(job.target).reading() as connection, stoppable(job, connection):
            job.progress.total = self._count(connection, self.chosen(job.context, connection))
        job.describe(
            f"{self.noun}-export-count",
            f"{self.noun.capitalize()} count to export",
            f"There will be {job.progress.total} {self.noun}s exported by this action",
        )

    def export_of(self, job: JobRun) -> Export:
        """The file that the job writes."""
        format = get_format(job.context.format)
        delimiter = DELIMITER if "delimiter" in format.write_options else None
        return Export(job, f"{self.noun}-export", format, job.context, write_options(job.context, delimiter))

    def ranges(self, job: JobRun, size: int) -> list[dict[str, Any]]:
        """By the places of the entries: each part has as many of them."""
        count, entries = self.parts_of(job, size), job.progress.total or 0
        places = [None, *(number * entries // count for number in range(1, count)), None]
        return [{"after": after, "upto": upto} for after, upto in pairwise(places)]

    def shared(self, job: JobRun, connection: Connection) -> dict[str, Any]:
        """The columns that all entries need together."""
        return {"shape": self.shape(connection, self.chosen(job.context, connection))}

    def write_rows(self, job: JobRun, export: Export, snapshot: str | None) -> None:
        """Write them as they come."""
        source = database_of(job.target).source(job.target)
        with source.reading(snapshot) as connection, stoppable(job, connection):
            database_of(connection).expect_many_rows(connection)
            chosen = self.chosen(job.context, connection, job.partition.plan if job.partition else None)
            job.progress.total = entries = self._count(connection, chosen)  # others may have written since the preview
            shape = job.shared["shape"] if job.partition else self.shape(connection, chosen)
            query = self.query(job.context, connection, chosen, shape)
            rows, lines, reported = entries if query.rows is None else query.rows, 0, 0

            def advance(count: int) -> None:
                nonlocal lines, reported
                lines += count
                job.progress.advance(entries * lines // rows - reported)
                reported = entries * lines // rows

            export.write(Rows(source, connection, query.selection(), query.named()), advance)
            job.progress.advance(entries - reported)

    def build_template(self) -> str:
        """There is no input."""
        return ""

    def filters(self, lower: str) -> dict[str, Condition]:
        """The filters there are; ``lower`` is the database's function for lower case."""
        raise NotImplementedError

    def query(self, context: Any, connection: Connection, chosen: Chosen, shape: Any) -> ExportQuery:
        """What to read of some entries; ``shape`` says which columns all of them need together."""
        raise NotImplementedError

    def shape(self, connection: Connection, chosen: Chosen) -> Any:
        """Which columns entries need, as a JSON value; nothing where they are always the same."""
        return None

    def chosen(self, context: Any, connection: Connection, part: dict[str, int | None] | None = None) -> Chosen:
        """Which entries, with ``place``, their place in the order; of a part those ``after`` a place, ``upto`` one."""
        config: ListConfig = context.list_config
        filters = conditions(context.filterable_fields, self.filters(database_of(connection).lower))
        wanted = [*self.always, *filters] or ["TRUE"]
        # the id last makes the order total, so that entries of one time do not change places
        orders = [*(f"entry.{name} {way}" for name, way in config.order.items()), "entry.id"]
        order = ", ".join(orders)
        limit = "" if context.batch_size is None else f" LIMIT {context.batch_size}"
        if config.skip:
            limit = f"{limit or NO_LIMIT} OFFSET {config.skip}"
        entries = f"FROM {self.table} AS entry WHERE {' AND '.join(wanted)}"
        placed = f"SELECT entry.id, row_number() OVER (ORDER BY {order}) AS place {entries} ORDER BY {order}{limit}"
        # numbering them costs as much as reading them, where all that is asked is which they are
        if part is not None:
            bounds = [f"place > {part['after'] or 0}", *([] if part["upto"] is None else [f"place <= {part['upto']}"])]
            placed = f"SELECT id, place FROM ({placed}) AS placed WHERE {' AND '.join(bounds)}"
            return Chosen(placed, placed, everything=False, order=orders)
        ids = placed if limit else f"SELECT entry.id {entries}"
        return Chosen(placed, ids, everything=not filters and not limit, order=orders)

    def _count(self, connection: Connection, chosen: Chosen) -> int:
        return int(driver_of(connection).execute(f"SELECT count(*) FROM ({chosen.ids}) AS chosen").fetchone()[0])


#: SQLite takes no OFFSET without a LIMIT.
NO_LIMIT = f" LIMIT {2**62}"
