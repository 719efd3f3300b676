"""Removing the rows of the table that are not in the file: ``sync``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table

from batch_jobs.strategies.sdk.database import Database, database_of, driver_of
from batch_jobs.strategies.sdk.errors import JobRefused, count_rows
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.changes.planned import PlannedChanges
from batch_jobs.strategies.tables.changes.recording import record, removed_rows
from batch_jobs.strategies.tables.databases.loading import KEYS, ROW, Destination, Loader, Removal, Removed
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.databases.statements import same_key
from batch_jobs.strategies.tables.importing.comparing import SAMPLE_SIZE
from batch_jobs.strategies.tables.importing.left_out_missing import MissingLeftOut
from batch_jobs.strategies.tables.importing.plan import ImportPlan
from batch_jobs.strategies.tables.importing.staged_keys import StagedKeys
from batch_jobs.strategies.tables.importing.sync_options import Mark, Scalar, SyncOptions
from batch_jobs.strategies.tables.values.converting import Checked

#: The temporary table in which the keys of missing rows are.
MISSING = "batch_job_missing"
#: The cursor once all rows of the file are in.
REMOVING = {"removing": True}


def is_removing(cursor: Any) -> bool:
    """Whether a cursor says that all rows of the file are in."""
    return isinstance(cursor, dict) and "removing" in cursor


@dataclass(frozen=True)
class Found:
    """How many rows are missing in the file, of how many that it is about, and the first of their keys."""

    missing: int
    of: int
    first: list[dict[str, str]]


class MissingRows:
    """The rows of the table whose keys are not among those of the file.

    A row with an empty key is never missing: it cannot be named in a file.

    Args:
        database: of the target.
        destination: the table and its key.
        loader: how rows are read and written.
        options: which rows it is about, and what becomes of them.

    Raises:
        JobRefused: the options name columns that cannot be meant.
    """

    def __init__(self, database: Database, destination: Destination, loader: Loader, options: SyncOptions) -> None:
        self._database = database
        self._destination = destination
        self._loader = loader
        self._marks = options.missing.mark if isinstance(options.missing, Mark) else {}
        _refuse_columns(destination.table, destination.key, self._marks, options.where)
        self._condition = " AND ".join([*self._named(options.where), *self._unmarked()]) or "TRUE"

    @property
    def removal(self) -> Removal:
        """What happens to them."""
        return Removal(self._condition, {name: self._literal(value) for name, value in self._marks.items()})

    def find(self, keys: StagedKeys) -> Found:
        """Find them beside the keys of the whole file, which are settled.

        Raises:
            JobRefused: the database does not take a value of the options for one of its column.
        """
        with keys.connection.begin():
            driver = driver_of(keys.connection)
            try:
                driver.execute(f"DROP TABLE IF EXISTS {MISSING}")
                driver.execute(self._select_missing())
                (of,) = driver.execute(self._count()).fetchone()
            except Exception as error:
                if not self._database.is_about_a_row(error):
                    raise
                raise JobRefused(f"missing or where: {self._database.refusal(error)}") from error
            (missing,) = driver.execute(f"SELECT count(*) FROM {MISSING}").fetchone()
            return Found(missing, of, list(self._first(keys)))

    def pages(self, keys: StagedKeys, size: int) -> Iterator[list[tuple[Any, ...]]]:
        """The keys of those found, this many at a time."""
        names = self._database.names(self._destination.key)
        first, page = 0, [()]
        while page:
            query = f"SELECT {names} FROM {MISSING} WHERE {ROW} > {first} AND {ROW} <= {first + size}"
            with keys.connection.begin():
                page = list(self._loader.fetch(keys.connection, query))
            first += size
            if page:
                yield page

    def _select_missing(self) -> str:
        key = [self._database.quoted(name) for name in self._destination.key]
        order = ", ".join(f"target.{name}" for name in key)
        cells = ", ".join(f"{self._database.carried(f'target.{name}')} AS {name}" for name in key)
        same = same_key(self._database, self._destination, "target", "stage")
        return (
            f"CREATE TEMPORARY TABLE {MISSING} AS SELECT row_number() OVER (ORDER BY {order}) AS {ROW}, {cells} "
            f"FROM {self._table} AS target WHERE {self._has_key} AND {self._condition} "
            f"AND NOT EXISTS (SELECT 1 FROM {KEYS} AS stage WHERE {same})"
        )

    def _count(self) -> str:
        return f"SELECT count(*) FROM {self._table} AS target WHERE {self._has_key} AND {self._condition}"

    def _first(self, keys: StagedKeys) -> Iterator[dict[str, str]]:
        key = self._destination.key
        cells = ", ".join(self._database.shown(self._database.quoted(name)) for name in key)
        query = f"SELECT {cells} FROM {MISSING} WHERE {ROW} <= {SAMPLE_SIZE} ORDER BY {ROW}"
        for row in self._loader.fetch(keys.connection, query):
            yield dict(zip(key, map(str, row), strict=True))

    @property
    def _table(self) -> str:
        return self._database.quoted_table(self._destination.table)

    @property
    def _has_key(self) -> str:
        names = map(self._database.quoted, self._destination.key)
        return " AND ".join(f"target.{name} IS NOT NULL" for name in names)

    def _named(self, where: dict[str, Scalar | list[Scalar]]) -> Iterator[str]:
        for name, given in where.items():
            cell = f"target.{self._database.quoted(name)}"
            values = given if isinstance(given, list) else [given]
            tests = [f"{cell} = {self._literal(value)}" for value in values if value is not None]
            tests += [f"{cell} IS NULL"] if None in values else []
            yield f"({' OR '.join(tests) or 'FALSE'})"

    def _unmarked(self) -> Iterator[str]:
        if self._marks:
            tests = (
                f"target.{self._database.quoted(name)} {self._database.differs} {self._literal(value)}"
                for name, value in self._marks.items()
            )
            yield f"({' OR '.join(tests)})"

    def _literal(self, value: object) -> str:
        return self._database.literal(value)


def look_for_missing(
    job: JobRun, plan: ImportPlan, destination: Destination, keys: StagedKeys, planned: PlannedChanges
) -> None:
    """Note in a plan what is missing beside the keys of the whole file, and why it is not to be removed, if so.

    Args:
        job: for which it is found.
        plan: where it is noted.
        destination: the table and its key, by which changes name rows.
        keys: those of the file.
        planned: takes the missing rows.
    """
    database = database_of(job.target)
    loader = database.loader(destination)
    missing = MissingRows(database, destination, loader, job.context)
    found = missing.find(keys)
    for page in missing.pages(keys, job.chunk_size):
        job.stop_if_asked()
        with keys.connection.begin():  # writes to a temporary table only
            loader.begin(keys.connection, last=False)
            removable = loader.removable(keys.connection, page, missing.removal)
        planned.add(removed_rows(destination, missing.removal, Removed(len(page), removable)))
    plan.counts.remove, plan.removed = found.missing, found.first
    plan.max_removed = job.context.most_removed(found.of)
    plan.refused = objection(found, keys, plan.max_removed)


def objection(found: Found, keys: StagedKeys, most: int, before: int = 0) -> str | None:
    """Why rows are not to be removed: it cannot be meant, or is not known for sure. ``None`` where they may be.

    Args:
        found: what is missing.
        keys: those of the file.
        most: how many rows may be removed.
        before: how many of them are already.
    """
    done = f"{count_rows(before)} are removed already" if before else "nothing was removed"
    if found.missing and keys.unreadable:
        return (
            f"the file has {count_rows(keys.unreadable)} without a readable key, the first on line "
            f"{keys.first_unreadable}, so that nobody knows which rows of the table are missing; correct them; {done}"
        )
    if found.missing and not keys.readable:
        return f"the file has no rows, and {count_rows(found.missing)} would be removed for it; {done}"
    if found.missing + before > most:
        return (
            f"{count_rows(found.missing + before)} of {found.of + before} are not in the file and would be removed, "
            f"and max_removed allows {most}; {done}"
        )
    return None


def _refuse_columns(table: Table, key: list[str], marks: dict[str, Any], where: dict[str, Any]) -> None:
    unknown = [name for name in (*marks, *where) if name not in table.columns]
    if unknown:
        raise JobRefused(
            f"{table.fullname} has no column {shown(unknown)}, which missing or where names; "
            f"it has: {shown(list(table.columns.keys()))}"
        )
    if set(marks) & set(key):
        raise JobRefused(f"missing would change {shown(sorted(set(marks) & set(key)))}, which is part of the key")


def remove_missing(
    job: JobRun, checked: Iterator[Checked], destination: Destination, loader: Loader, most: int
) -> None:
    """Remove what the file lacks, in chunks; what an earlier attempt removed is not missing any more.

    What the confirmation leaves out stays, and is rejected first.

    Args:
        job: whose chunks they are.
        checked: all rows of the file; of them only the keys are used.
        destination: the table and its key.
        loader: how rows are read and written.
        most: how many rows may be removed, by this attempt and those before it.

    Raises:
        JobRefused: there are more, or the database wants to keep one.
    """
    missing = MissingRows(database_of(job.target), destination, loader, job.context)
    left_out = MissingLeftOut(job, REMOVING, destination.key)
    left_out.reject()
    if left_out.is_all:
        return
    with StagedKeys(job.target, destination, loader, keeps_rejects=True) as keys:
        for batch in checked:
            job.stop_if_asked()
            keys.add(batch)
        keys.settle()
        found = missing.find(keys)
        refused = objection(found, keys, most, job.progress.counters.removed)
        if refused:
            raise JobRefused(refused)
        left = found.missing
        for page in missing.pages(keys, job.chunk_size):
            left -= len(page)
            page = left_out.without(page)
            with job.chunk(cursor=REMOVING) as connection:
                loader.begin(connection, last=left <= 0)
                removed = _remove(connection, loader, page, missing.removal)
                record(connection, removed_rows(destination, missing.removal, removed))
                job.count(removed=removed.count)
                job.progress.advance(len(page))


def _remove(connection: Connection, loader: Loader, page: list[tuple[Any, ...]], removal: Removal) -> Removed:
    try:
        return loader.remove(connection, page, removal)
    except Exception as error:
        database = database_of(connection)
        if not database.is_about_a_row(error):
            raise
        raise JobRefused(f"rows that are not in the file cannot be removed: {database.refusal(error)}") from error
