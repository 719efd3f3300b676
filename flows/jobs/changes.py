"""What jobs change in the target, for people: before a job runs as its preview found it, and then from the log."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, inspect

from batch_jobs.flows.errors import ChangesUnknown
from batch_jobs.flows.jobs.model import Job, Visible
from batch_jobs.flows.settings import Settings
from batch_jobs.strategies.sdk.change_log import change_table, moment_text
from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.database import database_of, for_reading
from batch_jobs.strategies.sdk.errors import FileMissing
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.lines import place_of
from batch_jobs.strategies.tables.changes.entries import Entry
from batch_jobs.strategies.tables.changes.logged import LoggedBlocks, LoggedRows, has_changes, of_job, of_tables
from batch_jobs.strategies.tables.changes.planned import ChangesFile
from batch_jobs.strategies.tables.changes.reading import (
    SECONDS,
    BlockHead,
    Blocks,
    ChangeFilter,
    Cursor,
    CursorWrong,
    Place,
    WantedKey,
    read_page,
)

AT_ONCE = 1_000
#: How the cursors of a preview and of the log begin.
PLANNED, LOGGED = "p", "l"


@dataclass(frozen=True)
class Changes:
    """A page of changes for people; there may be more where there is a cursor, however few these are."""

    entries: list[dict[str, Any]]
    cursor: str | None


@dataclass(frozen=True)
class ColumnChanges:
    """In how many rows of a table a column changes."""

    table: str
    column: str
    rows: int


def all_pages(page: Callable[[str | None], Changes]) -> Iterator[dict[str, Any]]:
    """The changes of all pages, each asked for by the cursor of the one before."""
    found = page(None)
    yield from found.entries
    while found.cursor:
        found = page(found.cursor)
        yield from found.entries


class JobChanges:
    """Reads the changes of one installation's jobs.

    Args:
        target: the database that jobs write.
        files: the file store.
        settings: how long changes are kept.
    """

    def __init__(self, target: Engine, files: FileStore, settings: Settings) -> None:
        self._target = target
        self._files = files
        self._settings = settings

    def page(
        self,
        job: Job,
        wanted: ChangeFilter,
        access: DataAccess,
        cursor: str | None = None,
        limit: int = AT_ONCE,
        seconds: float = SECONDS,
    ) -> Changes:
        """Changes of a job: those that its preview found until it runs, and then those that it has made so far.

        Args:
            job: whose changes.
            wanted: which of them.
            access: of whoever asks; changes of other tables are left out.
            cursor: of the page before.
            limit: how many at most.
            seconds: how long to look.

        Raises:
            ChangesUnknown: there are none to look at, and says why.
            CursorWrong: the cursor is none of this job's.
        """
        source = cursor[:1] if cursor else PLANNED if job.processing_at is None else LOGGED
        if source not in (PLANNED, LOGGED):
            raise CursorWrong
        after = Cursor.parse(cursor[1:], [int] * (2 if source == PLANNED else 3)) if cursor else None
        with (self._planned if source == PLANNED else self._logged)(job, wanted) as blocks:
            page = read_page(blocks, wanted, after, limit, seconds, self._may_read(access))
        files = [file["key"] for file in (job.plan or {}).get("files", [])]
        entries = [_shown(entry, files) for entry in page.entries]
        return Changes(entries, f"{source}{page.cursor}" if page.cursor else None)

    def all(self, job: Job, wanted: ChangeFilter, access: DataAccess) -> Iterator[dict[str, Any]]:
        """All of these changes, one after the other."""
        return all_pages(lambda cursor: self.page(job, wanted, access, cursor))

    def columns(self, job: Job, access: DataAccess) -> list[ColumnChanges]:
        """In how many rows each column changes, by table; ``ChangesUnknown`` as ``page`` has it.

        Only what is known of blocks is read, and none of their rows.
        """
        found: Counter[tuple[str, str]] = Counter()
        may_read = self._may_read(access)
        with (self._planned if job.processing_at is None else self._logged)(job, ChangeFilter()) as blocks:
            for head in blocks.heads(None):
                if may_read(head.table):
                    found.update({(head.table, column): rows for column, rows in head.columns.items()})
        return [ColumnChanges(table, column, rows) for (table, column), rows in found.items() if rows]

    def history(
        self,
        table: str,
        key: WantedKey,
        access: DataAccess,
        visible: Visible,
        cursor: str | None = None,
        limit: int = AT_ONCE,
        seconds: float = SECONDS,
    ) -> Changes:
        """What jobs changed in a row, the newest job first.

        Args:
            table: whose row: ``table`` or ``schema.table``.
            key: of the row.
            access: of whoever asks.
            visible: which of the jobs they may look at; changes of others are left out.
            cursor: of the page before.
            limit: how many at most.
            seconds: how long to look.

        Raises:
            ContextRefused: the table is not one that they may read.
            ChangesUnknown: no job has kept a change of this table.
            CursorWrong: the cursor is none of a history.
        """
        access.check_name(database_of(self._target), table)
        after = Cursor.parse(cursor, [str, int, int, int]) if cursor else None
        with self._open_log() as connection:
            names = self._names_of(connection, table) if connection else []
            if connection is None or not has_changes(connection, of_tables(names)):
                raise ChangesUnknown(f"no job has kept a change of {table}; `batch-jobs changes ID` has those of a job")
            rows = LoggedRows(connection, names)
            page = read_page(rows, ChangeFilter(key=key), after, limit, seconds, self._may_read(access))
            moments, jobs = rows.made_at(page.places), visible(list({place[0] for place in page.places}))
        entries = [
            _of_job(jobs[place[0]], moments[place]) | _shown(entry, ())
            for entry, place in zip(page.entries, page.places, strict=True)
            if place[0] in jobs and place in moments
        ]
        return Changes(entries, str(page.cursor) if page.cursor else None)

    @contextmanager
    def _planned(self, job: Job, wanted: ChangeFilter) -> Iterator[Blocks]:
        try:
            file = ChangesFile(self._files, job.id)
        except FileMissing:
            raise ChangesUnknown(
                f"{job.id} is {job.status} and no preview of its changes is there: it comes with pre_processed, of the "
                "types that have one"
            ) from None
        with file:
            yield file

    @contextmanager
    def _logged(self, job: Job, wanted: ChangeFilter) -> Iterator[Blocks]:
        with self._open_log() as connection:
            if connection is None or not has_changes(connection, of_job(job.id)):
                reason = self._why_none(job)
                if reason:
                    raise ChangesUnknown(reason)
                yield _Nothing()
            else:
                yield LoggedBlocks(connection, job.id, by_key=wanted.key is not None)

    @contextmanager
    def _open_log(self) -> Iterator[Connection | None]:
        """A connection for reading the log, ``None`` where there is none yet."""
        is_there = inspect(self._target).has_table(change_table.name)
        with for_reading(self._target).connect() as connection:
            yield connection if is_there else None

    def _names_of(self, connection: Connection, table: str) -> list[str]:
        """The names that a table may have in the log: with the default schema and without."""
        default = inspect(connection).default_schema_name
        schema, _, bare = table.rpartition(".")
        if not schema:
            return [table, f"{default}.{table}"]
        return [table, bare] if schema == default else [table]

    def _may_read(self, access: DataAccess) -> Callable[[str], bool]:
        """Whether a table, by its name in the log, is one that somebody may read."""

        @lru_cache
        def may_read(name: str) -> bool:
            schema, _, table = name.rpartition(".")
            default = inspect(self._target).default_schema_name
            return access.refusal(database_of(self._target), schema or default, table, default) is None

        return may_read if access.tables else lambda name: True

    def _why_none(self, job: Job) -> str | None:
        """Why the log has no change of a job that ran; ``None`` where it made none."""
        result, days = job.result, self._settings.keep_changes_days
        if not (result.created or result.updated or result.removed):
            return None
        ended = job.updated_at
        if days is not None and (datetime.now(UTC) - ended).total_seconds() > days * 86_400:
            return f"the changes of {job.id} are forgotten: they are kept for {days:g} days (KEEP_CHANGES_DAYS)"
        return (
            f"{job.id} kept no changes: keep_changes is off in its context or the settings, or its rows have no key; "
            "its plan and counts are in `batch-jobs show`"
        )


class _Nothing:
    def heads(self, start: Place | None) -> Iterator[BlockHead]:
        return iter(())

    def rows(self, head: BlockHead) -> Any:
        raise NotImplementedError


def _shown(entry: Entry, files: Sequence[str]) -> dict[str, Any]:
    shown = asdict(entry)
    if entry.line is not None and len(files) > 1:
        file, shown["line"] = place_of(entry.line)
        shown["file"] = files[file] if file < len(files) else None
    return shown


def _of_job(job: Job, at: datetime) -> dict[str, Any]:
    return {"job": job.id, "type": job.type, "created_by": job.created_by, "at": moment_text(at)}
