"""Changing rows of a table in pandas: a back-fill with preview, rejects, and chunks that are in exactly once."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, Field
from sqlalchemy import Connection, Engine, Table, inspect

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.context_fields import KeepChanges
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import JobRefused, StrategyIncomplete, count_rows
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.leaving_out import LeaveOut
from batch_jobs.strategies.sdk.partition import Partition, in_one
from batch_jobs.strategies.tables.changes.planned import planning
from batch_jobs.strategies.tables.changes.recording import key_of_log
from batch_jobs.strategies.tables.databases.loading import Destination, Loader
from batch_jobs.strategies.tables.databases.naming import refuse_unwritable, require_table, shown
from batch_jobs.strategies.tables.formats.marks import Mark, Marks
from batch_jobs.strategies.tables.frames.frame_import import is_schema
from batch_jobs.strategies.tables.frames.key_ranges import KeyRange, key_ranges, why_in_one
from batch_jobs.strategies.tables.frames.left_out_rows import LeftOutRows, find_left_out, left_out_rows
from batch_jobs.strategies.tables.frames.row_frames import RowFrames, frame_columns
from batch_jobs.strategies.tables.frames.table_pages import Cursor, TablePages, parameters_of, with_values
from batch_jobs.strategies.tables.importing.absence import by_absence
from batch_jobs.strategies.tables.importing.chunks import Chunk, Piece, write_chunk
from batch_jobs.strategies.tables.importing.describing import changes_by_column
from batch_jobs.strategies.tables.importing.left_out import (
    check_wish,
    wish_of,
    without_columns,
)
from batch_jobs.strategies.tables.importing.loading import account, limit_all_rejects, limit_rejects, seen_all_the_same
from batch_jobs.strategies.tables.importing.mapping import unique_key
from batch_jobs.strategies.tables.importing.plan import ImportPlan
from batch_jobs.strategies.tables.importing.preview import Preview
from batch_jobs.strategies.tables.values.converting import Checked, Converter

if TYPE_CHECKING:
    import pandas as pd

MODE = "update"


@dataclass(frozen=True)
class Page:
    """Rows behind a key up to another one."""

    after: Cursor | None
    last: Cursor
    is_last: bool


class FrameUpdate(BatchJobStrategy, abstract=True):
    """Change rows of a table, in what ``transform`` makes of them.

    A subclass names its ``table``; see docs/writing-a-strategy.md. The rows are gone through in the order of the key, a
    chunk at a time, each read and locked again when it is written: what somebody else changed by then is what
    ``transform`` gets. Rows that come in behind the place that it has got to are not visited.
    """

    #: Whose rows: table or schema.table.
    table: ClassVar[str]
    #: The columns of a unique index in which no row is empty; by default the table's primary key.
    key: ClassVar[Sequence[str]] = ()
    #: Which columns ``transform`` gets beside the key; by default all.
    columns: ClassVar[Sequence[str]] = ()
    #: The SQL condition that rows have to meet; ``:name`` is the context's field of that name.
    where: ClassVar[str] = ""
    #: What the rows have to be like as they are returned: a schema of pandera's, or a pydantic model of a row; each bad
    #: cell is a reject.
    schema: ClassVar[Any] = None

    class Context(BaseModel):
        """What every such update can be asked for."""

        max_rejects: int | None = Field(
            None,
            title="Most rejects",
            description="Fail before anything is written when more rows than this are bad; default: any number",
            ge=0,
        )
        keep_changes: KeepChanges = None

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(abstract=abstract, **kwargs)
        missing = [] if abstract else _missing(cls)
        if missing:
            raise StrategyIncomplete(cls.__name__, missing)

    def transform(self, frame: "pd.DataFrame", job: JobRun) -> "pd.DataFrame":
        """What becomes of some rows of the table.

        It is called for the preview and again for the run, with chunks of any size, and gives the same each time.

        Args:
            frame: rows of the table: the key and the columns, of Arrow's types. It may be changed.
            job: ``job.reject_rows`` refuses rows of it; the line of such a row is its number in the order of the key.

        Returns:
            The key and the columns to write. Rows that are not returned are left as they are.
        """
        raise NotImplementedError

    def pre_process(self, job: JobRun) -> None:
        """Go through the table: decide, count, find everything that is wrong; the target is only read."""
        if job.checkpoint is not None and "mapping" in job.plan:
            return  # part of the rows is done; to compare with those would make a new plan of half the work
        plan = self._look(job)
        job.progress.total = plan.total
        job.plan.update(plan.as_json())
        _describe(job, plan, self.table)
        limit_rejects(job, plan.counts.reject, "nothing was written")

    def process(self, job: JobRun) -> None:
        """Change the rows, chunk by chunk, from the checkpoint on."""
        plan = ImportPlan.model_validate(job.plan)
        if not plan.mapping:
            return  # there were no rows
        if job.partition is None:
            find_left_out(job)
        part = KeyRange(**job.partition.plan) if job.partition else KeyRange()
        rows = _Rows(self, job, without_columns(plan, wish_of(job.plan)))
        loader = database_of(job.target).loader(rows.destination)
        with left_out_rows(job) as left_out:
            for page in rows.pages(job.checkpoint or part.after, part.until):
                _update(job, rows, loader, page, part.before, left_out)

    def partition(self, job: JobRun, size: int) -> list[Partition]:
        """Ranges of the key, where it makes no difference which is changed first; else the summary says why not."""
        plan = ImportPlan.model_validate(job.plan)
        if plan.mapping:
            find_left_out(job)
        if size < 2 or not plan.mapping:
            return []
        reason = why_in_one(job, plan, _table(job.target, self.table))
        return in_one(job, reason) if reason else key_ranges(plan, size)

    def check_leave_out(self, wish: LeaveOut, job_id: str, plan: dict[str, Any], files: FileStore) -> None:
        """Columns, kinds, keys, lines and rules, all by what the preview found; a line is a number in its order."""
        check_wish(wish, job_id, ImportPlan.model_validate(plan), files)

    def post_process(self, job: JobRun) -> None:
        """Of a job that was cut, hold the rejects of all partitions against the most that there may be."""
        if job.result.partitions:
            limit_all_rejects(job)

    def build_template(self) -> str:
        """None: the rows are in the table."""
        return ""

    def _look(self, job: JobRun) -> ImportPlan:
        plan = _decide(self, job)
        rows = _Rows(self, job, plan)
        rows.refuse_without_key()
        if next(rows.checked(), None) is None:
            return plan
        with planning(job.files, job.id, job.changes.options) as planned:
            preview = Preview(job, rows.checked, rows.destination, True, planned)
            preview.run(_DistinctKeys())
        plan.mapping = {name: name for name in rows.destination.columns}
        plan.marks = [asdict(mark) for mark in rows.marks.kept]
        plan.kept = rows.destination.given_out
        plan.total, plan.counts, plan.columns = preview.total, preview.counts, preview.columns
        plan.sample, plan.rejects = preview.sample, preview.rejects
        return plan


def _decide(strategy: FrameUpdate, job: JobRun) -> ImportPlan:
    """By which key the rows are gone through, and as what ``transform`` gets their columns."""
    table = _table(job.target, strategy.table)
    key = _key(job.target, table, _names(strategy.key))
    columns = _columns(table, key, _names(strategy.columns))
    plan = ImportPlan(mapping={}, key=key, frame=frame_columns(job.target, table, columns))
    plan.options = {"where": strategy.where} if strategy.where else {}
    return plan


class _Rows:
    """The rows of a strategy's table, and what it makes of them.

    Args:
        strategy: makes it.
        job: for which it does.
        plan: the key and the frame; where ``mapping`` is empty, what ``transform`` returns first says which columns
            are written.
    """

    def __init__(self, strategy: FrameUpdate, job: JobRun, plan: ImportPlan) -> None:
        self._job, database = job, database_of(job.target)
        table, frame = _table(job.target, strategy.table), plan.frame or []
        read = [column.name for column in frame]
        _refuse_unknown(table, "the preview", read)
        collations = unique_key(job.target, table, plan.key).collations
        source = Destination(table, read, plan.key, MODE, collations)
        values = {name: getattr(job.context, name) for name in parameters_of(strategy.where)}
        self._pages = TablePages(job.target, source, with_values(database, strategy.where, values), job.chunk_size)
        self._frames = RowFrames(strategy, job, source, frame)
        #: Keys in order, at which the rows can be cut.
        self.marks = Marks()
        #: Columns that ``transform`` gives and that are not written.
        self._left_out = set(wish_of(job.plan).columns)
        #: Where the rows go.
        self.destination = replace(source, columns=[], logged_by=key_of_log(job.changes, table, read, plan.key))
        if plan.mapping:
            self._settle(list(plan.mapping))

    def refuse_without_key(self) -> None:
        """Refuse rows that no page would have.

        Raises:
            JobRefused: there are such.
        """
        with self._job.target.begin() as connection:
            if self._pages.has_rows_without_key(connection):
                key, table = shown(self.destination.key), self.destination.table.fullname
                raise JobRefused(f"{table} has rows whose {key} is empty, and so no key; fill it first")

    def pages(self, after: Cursor | None, until: Cursor | None = None) -> Iterator[Page]:
        """The pages behind a key, and not behind another."""
        last = self._last_key(after, until)
        while last is not None:
            following = self._last_key(last, until)
            yield Page(after, last, following is None)
            after, last = last, following

    def checked(self) -> Iterator[Checked]:
        """All rows as they are now and what is made of them, page by page."""
        before, self.marks = 0, Marks()
        for page in self.pages(None):
            self.marks.add(Mark({"after": page.after}, before + 1, before), before)
            with self._job.target.begin() as connection:
                cells = self._pages.read(connection, page.after, page.last)
            if cells.num_rows:
                yield self._check(cells, before)
            before += cells.num_rows

    def locked(self, connection: Connection, page: Page, before: int) -> Checked | None:
        """A page's rows, which nobody else can change until the transaction ends; ``None`` where all are gone.

        Args:
            connection: has the transaction.
            page: which rows.
            before: how many rows come before them.
        """
        cells = self._pages.read(connection, page.after, page.last, lock=True)
        return self._check(cells, before) if cells.num_rows else None

    def _last_key(self, after: Cursor | None, until: Cursor | None) -> Cursor | None:
        with self._job.target.begin() as connection:
            return self._pages.last_key(connection, after, until)

    def _check(self, cells: pa.Table, before: int) -> Checked:
        batch = self._frames.made(cells, before)
        table, known = self.destination.table, self.destination.columns
        given = [name for name in batch.table.column_names if name not in self._left_out]
        columns = [name for name in given if table.columns[name].computed is None]
        if not known:
            self._settle(columns)
        elif set(columns) != set(known):
            raise JobRefused(
                f"the frames have different columns: {shown(known)} at first, and then {shown(columns)}; "
                "return the same ones each time"
            )
        return _with_keys_as_read(self._converter.check(batch))

    def _settle(self, columns: list[str]) -> None:
        self.destination = replace(self.destination, columns=columns)
        mapping = {name: name for name in columns}
        self._converter = Converter(self.destination.table, mapping, self.destination.key, restores=False)


class _DistinctKeys:
    """What a preview asks about the keys of rows: those of a table are there once."""

    def add(self, checked: Checked) -> None:
        """Nothing is needed."""

    def settle(self) -> bool:
        """No key is repeated."""
        return False

    def repeats_in(self, checked: Checked) -> dict[int, int]:
        """None."""
        return {}


def _update(job: JobRun, rows: _Rows, loader: Loader, page: Page, before: int, left_out: LeftOutRows | None) -> None:
    """Read a page, change it, and write it in one transaction; ``before`` are the rows before the partition's."""
    with seen_all_the_same(job) as rejects, job.chunk(cursor=page.last) as connection:
        checked = rows.locked(connection, page, before + job.progress.counters.advanced)
        if checked is not None:
            if left_out is not None:
                left_out.apply_to(checked)
            chunk = _chunk(checked, page, loader)
            account(job, chunk, write_chunk(connection, loader, chunk, rows.destination), rejects)


def _with_keys_as_read(checked: Checked) -> Checked:
    """The same rows, whose key has times in the form that they have in the table: SQLite finds them by that alone."""
    origin = checked.batch.origin
    assert origin is not None
    for name in checked.key:
        if pa.types.is_temporal(checked.rows.schema.field(name).type):
            cells = origin.table.column(name).take(pa.array(origin.rows))
            checked.rows = checked.rows.set_column(checked.rows.column_names.index(name), name, cells)
    return checked


def _chunk(checked: Checked, page: Page, loader: Loader) -> Chunk:
    good = np.flatnonzero(checked.good)
    pieces = [
        Piece(indices, rows, loader.encode(rows))
        for indices, rows in by_absence(checked.rows, good, checked.absent)
        if len(indices)
    ]
    return Chunk(checked, pieces, checked.rejects, checked.count, {}, page.is_last)


def _table(engine: Engine, name: str) -> Table:
    table = require_table(engine, name)
    if table.name in inspect(engine).get_view_names(table.schema):
        raise JobRefused(f"{table.fullname} is a view, which has no unique index; name the table behind it")
    refuse_unwritable(engine, table, MODE)
    return table


def _key(engine: Engine, table: Table, asked: list[str]) -> list[str]:
    """The columns of the key, in the order of their index, by which they are found fast."""
    _refuse_unknown(table, "key", asked)
    inspector, place = inspect(engine), (table.name, table.schema)
    primary = inspector.get_pk_constraint(*place)["constrained_columns"]
    if not asked and not primary:
        raise JobRefused(f"{table.fullname} has no primary key; give `key` the columns of a unique index")
    orders = [primary, *(list(found["column_names"]) for found in inspector.get_unique_constraints(*place))]
    orders += [[name for name in found["column_names"] if name] for found in inspector.get_indexes(*place)]
    return next((order for order in orders if set(order) == set(asked or primary)), asked)


def _columns(table: Table, key: list[str], asked: list[str]) -> list[str]:
    """The columns to read: the key first where only some are."""
    _refuse_unknown(table, "columns", asked)
    return list(dict.fromkeys([*key, *asked])) if asked else list(table.columns.keys())


def _refuse_unknown(table: Table, what: str, names: list[str]) -> None:
    unknown = [name for name in names if name not in table.columns]
    if unknown:
        raise JobRefused(
            f"{table.fullname} has no column {shown(unknown)}, which {what} names; "
            f"it has: {shown(list(table.columns.keys()))}"
        )


def _names(given: Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _missing(cls: type[FrameUpdate]) -> list[str]:
    has_table = isinstance(getattr(cls, "table", None), str) and cls.table.strip()
    is_context = issubclass(cls.Context, FrameUpdate.Context)
    fields = cls.Context.model_fields
    return [
        *([] if has_table else ["a table"]),
        *([] if cls.transform is not FrameUpdate.transform else ["transform"]),
        *([] if is_schema(cls.schema) else ["a schema that is one of pandera's or a pydantic model"]),
        *([] if is_context else ["a Context that is a FrameUpdate.Context"]),
        *(f"a field {name} of its Context for where" for name in parameters_of(cls.where) if name not in fields),
    ]


def _describe(job: JobRun, plan: ImportPlan, table: str) -> None:
    counts = plan.counts
    job.describe("update-rows", "To update", f"{count_rows(counts.update)} of {table} will be updated")
    if plan.columns:
        job.describe("update-changes", "Changes", changes_by_column(plan.columns))
    job.describe("update-unchanged", "Unchanged", f"{count_rows(counts.unchanged)} already as they would be")
    job.describe("update-left-out", "Left out", f"{count_rows(counts.left_out)} that transform does not return")
    if plan.kept:
        job.describe("update-kept", "Kept", f"{shown(plan.kept)} stays: the database gives it out")
    job.describe("update-reject", "To reject", f"{count_rows(counts.reject)} will be rejected")
