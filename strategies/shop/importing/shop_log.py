"""What an import does to the rows of a shop, for the change log: read in the transaction that does it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Engine, Integer, Numeric, Table, inspect

from batch_jobs.strategies.sdk.change_log import ChangeOptions, Kind, LoggedBlock, changes_of
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.shop.importing.planning import origin_of, without_origin
from batch_jobs.strategies.shop.state import StateReader, whole
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, KEY, ChangedRows
from batch_jobs.strategies.tables.changes.matching import places_of
from batch_jobs.strategies.tables.changes.recording import block_of
from batch_jobs.strategies.tables.changes.stored import is_mixed, stored_columns
from batch_jobs.strategies.tables.changes.watching import updated_rows

CHANGED_AT = "updated_at"
SIDES = (BEFORE, AFTER)


class ShopTables:
    """The tables that an import writes, as the shop has them, with columns of its own.

    Args:
        engine: of the shop.
        written: the tables as Medusa has them.
        options: of the log.
        encoder: makes blocks of the log while the database is waited for.
    """

    def __init__(self, engine: Engine, written: Sequence[Table], options: ChangeOptions, encoder: Executor) -> None:
        self._options = options
        self._encoder = encoder
        self._written = {table.name: table for table in written}
        found = inspect(engine).get_multi_columns(filter_names=list(self._written))
        columns = {name: [column for column in of if "computed" not in column] for (_, name), of in found.items()}
        #: By table, those that can be written.
        self.columns = {name: [column["name"] for column in of] for name, of in columns.items()}
        #: Those of numbers.
        self.numbers = {
            name: {column["name"] for column in of if isinstance(column["type"], Numeric | Integer)}
            for name, of in columns.items()
        }
        self._have_rules: dict[str, bool] = {}

    def encode(self, rows: ChangedRows) -> Future[LoggedBlock]:
        """Begin to make a block of them."""
        return self._encoder.submit(block_of, rows, self._options)

    def have_rules(self, connection: Connection, table: Table) -> bool:
        """Whether the shop has added something, such as a trigger, by which rows may become others than written."""
        if table.name not in self._have_rules:
            self._have_rules[table.name] = database_of(connection).may_alter_rows(connection, table)
        return self._have_rules[table.name]


class ShopLog:
    """Collects what is done in one transaction, in the order in which it is done.

    Args:
        connection: of the chunk.
        shop: its tables.
    """

    def __init__(self, connection: Connection, shop: ShopTables) -> None:
        self._connection = connection
        self._database = database_of(connection)
        self._shop = shop
        #: As the log has it, each as soon as that is made.
        self.blocks: list[Future[LoggedBlock]] = []

    def created(self, table: Table, rows: pa.Table, is_common: bool = False) -> None:
        """Note rows that were just inserted, in this order; ``is_common`` says that other partitions may use them."""
        key, origin, rows = key_columns(table), origin_of(rows), without_origin(rows)
        names = self._shop.columns[table.name]
        lacking = [name for name in names if name not in rows.column_names]
        values = None
        if not self._shop.have_rules(self._connection, table):
            values = self._with_defaults(table, rows, lacking) if lacking else rows
        if values is None:
            values = self.read(table, rows, names)
            origin = origin.take(places_of(values.select(key), rows.select(key)))
        self._add("created", table, key, marked(values, key, AFTER), origin, is_common)

    def made_in_common(self, table: Table, ids: list[str]) -> None:
        """Note rows that were just inserted and not by another partition."""
        if ids:
            self.created(table, pa.table({"id": pa.array(ids, pa.string())}), is_common=True)

    @contextmanager
    def updating(self, table: Table, rows: pa.Table) -> Iterator[None]:
        """The time in which rows are updated; the id of each is its ``row_id``."""
        origin, rows = origin_of(rows), without_origin(rows)
        rows = rows.rename_columns(["id" if name == "row_id" else name for name in rows.column_names])
        there = set(self._shop.columns[table.name])
        names = [name for name in dict.fromkeys([*rows.column_names, CHANGED_AT]) if name in there]
        before = self.read(table, rows, names, is_locked=True).sort_by("id")
        yield
        at = places_of(before.select(["id"]), rows.select(["id"]))
        after = self._updated(table, rows.take(at), before)
        self._add("updated", table, ["id"], changed_of(before, after, origin.take(at)), None)

    def deleting(self, table: Table, rows: pa.Table) -> None:
        """Note rows that are about to be deleted."""
        key, origin, rows = key_columns(table), origin_of(rows), without_origin(rows)
        by = rows.column_names
        found = self.read(table, rows, self._shop.columns[table.name], is_locked=True, by=by)
        origin = origin.take(places_of(found.select(by), rows.select(by)))
        self._add("removed", table, key, marked(found, key, BEFORE), origin)

    def record(self) -> None:
        """Have what was collected be written with the chunk."""
        changes = changes_of(self._connection)
        if changes is not None:
            for block in self.blocks:
                changes.add(block.result())

    def _add(
        self,
        kind: Kind,
        table: Table,
        key: list[str],
        rows: pa.Table,
        origin: pa.Table | None,
        is_common: bool = False,
    ) -> None:
        if rows.num_rows:
            rows = rows if origin is None else beside(rows, origin)
            self.blocks.append(self._shop.encode(ChangedRows(table.name, kind, key, rows, is_common)))

    def _with_defaults(self, table: Table, rows: pa.Table, lacking: list[str]) -> pa.Table | None:
        """New rows with what the database gave the columns that they lack, if it gave all the same.

        It did where the first and the last row got the same: defaults are constants, or the time.
        """
        names = [*key_columns(table), *lacking]
        ends = self.read(table, pa.concat_tables([rows.slice(0, 1), rows.slice(rows.num_rows - 1)]), names)
        if any(pc.count_distinct(ends.column(name), mode="all").as_py() > 1 for name in lacking):
            return None
        values = rows
        for name in lacking:
            column = pa.repeat(ends.column(name)[0], rows.num_rows)
            values = values.append_column(ends.schema.field(name), column)
        return values

    def _updated(self, table: Table, rows: pa.Table, before: pa.Table) -> pa.Table:
        """What rows are after their update, in the order of their ids, with the columns that they had before it."""
        values = None
        if before.num_rows and not self._shop.have_rules(self._connection, table):
            values = self._with_defaults(table, rows, [name for name in [CHANGED_AT] if name in before.column_names])
            values = values and as_before(values, before)
        if values is None:
            values = self.read(table, before, before.column_names).sort_by("id")
        return values

    def read(
        self, table: Table, rows: pa.Table, names: list[str], is_locked: bool = False, by: Sequence[str] = ()
    ) -> pa.Table:
        """Columns of the rows of a table that have what others have in some columns, by default in the key."""
        cells = [self._database.carried(self._database.quoted(name)) for name in names]
        source, condition = self._database.quoted(table.name), self._among(rows, list(by) or key_columns(table))
        query = f"SELECT * FROM {source} WHERE {condition}"
        if is_locked:  # by all in the same order
            query += f" ORDER BY {self._database.names(key_columns(table))} {self._database.row_lock}"
        found = self._database.lookup(self._connection).columns(query, cells)
        return stored_columns(names, found, self._shop.numbers[table.name])

    def _among(self, rows: pa.Table, names: list[str]) -> str:
        if len(names) == 1:
            return StateReader(self._connection).among(self._database.quoted(names[0]), whole(rows.column(names[0])))
        cells = zip(*(map(self._database.literal, rows.column(name).to_pylist()) for name in names), strict=True)
        listed = ", ".join(f"({', '.join(row)})" for row in cells)
        return f"({self._database.names(names)}) IN (VALUES {listed})"


@contextmanager
def shop_tables(job: JobRun, written: Sequence[Table]) -> Iterator[ShopTables]:
    """The tables that a job writes."""
    with ThreadPoolExecutor(1, "change-log") as encoder:
        yield ShopTables(job.target, written, job.changes.options, encoder)


@contextmanager
def logged_tables(job: JobRun, written: Sequence[Table]) -> Iterator[ShopTables | None]:
    """The tables that a job writes, for its log; ``None`` where none is kept."""
    if not job.changes.are_kept:
        yield None
        return
    with shop_tables(job, written) as shop:
        yield shop


def key_columns(table: Table) -> list[str]:
    """The columns that tell rows apart: the id, of a table of links all."""
    return ["id"] if "id" in table.c else list(table.c.keys())


def marked(rows: pa.Table, key: Sequence[str], mark: str) -> pa.Table:
    """Rows of a table as the log has them."""
    return rows.rename_columns([(KEY if name in key else mark) + name for name in rows.column_names])


def beside(rows: pa.Table, more: pa.Table) -> pa.Table:
    """Rows with further columns."""
    for field in more.schema:
        rows = rows.append_column(field, more.column(field.name))
    return rows


def changed_of(before: pa.Table, after: pa.Table, origin: pa.Table) -> pa.Table:
    """Of rows before and after an update those that changed, with the columns that did in any of them."""
    both = beside(marked(before, ["id"], BEFORE), origin)
    changed = updated_rows(both, marked(after, ["id"], AFTER))
    return changed.drop_columns(
        [name for name in changed.column_names if name[0] in SIDES and _is_empty(changed, name)]
    )


def _is_empty(rows: pa.Table, name: str) -> bool:
    return all(rows.column(mark + name[1:]).null_count == rows.num_rows for mark in SIDES)


def as_before(values: pa.Table, before: pa.Table) -> pa.Table | None:
    """Values as they were given, of the types that the database's are read in; ``None`` where that cannot be said."""
    fields = []
    for field in before.schema:
        given, column = values.schema.field(field.name), before.column(field.name)
        is_number = pa.types.is_integer(given.type) or pa.types.is_boolean(given.type)
        if column.null_count == len(column) or given.type == field.type:
            fields.append(given)
        elif is_number and not is_mixed(field) and field.type in (pa.string(), pa.int64()):
            fields.append(field)
        else:
            return None
    return values.select(before.column_names).cast(pa.schema(fields))
