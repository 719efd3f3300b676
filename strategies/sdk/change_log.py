"""What jobs have changed in the target, row by row in blocks, each committed together with the rows it tells of."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import (
    DDL,
    JSON,
    Column,
    Connection,
    DateTime,
    Engine,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    event,
    func,
    insert,
    inspect,
    select,
)

from batch_jobs.strategies.sdk.checkpoint import WHOLE, create_table, metadata

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.changes.watching import WatchedRows

Kind = Literal["created", "updated", "removed"]

change_table = Table(
    "batch_job_change",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    # the order in the chunk
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("table_name", Text, nullable=False),
    Column("kind", String(8), nullable=False),
    # the names of the columns that tell rows apart
    Column("key_columns", JSON, nullable=False),
    Column("rows", Integer, nullable=False),
    # column -> in how many of the rows it changed
    Column("columns", JSON, nullable=False),
    # which keys may be in the block, see ``tables.changes.sieve``
    Column("sieve", LargeBinary, nullable=False),
    # the rows, see ``tables.changes.blocks``
    Column("data", LargeBinary, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Index("batch_job_change_by_table", "table_name"),
)
# it is compressed already
_UNCOMPRESSED: Any = DDL  # to mypy it has no types
event.listen(
    change_table,
    "after_create",
    _UNCOMPRESSED(
        "ALTER TABLE batch_job_change ALTER data SET STORAGE EXTERNAL, ALTER sieve SET STORAGE EXTERNAL"
    ).execute_if(dialect="postgresql"),
)
#: In the ``info`` of a chunk's connection: what takes the changes made in it.
CHANGES = "batch_job_changes"
#: Added to a partition's number for rows that other partitions may use: an undo comes to them after those of all.
COMMON = 1 << 20


@dataclass(frozen=True)
class LoggedBlock:
    """Rows of one table to which the same was done.

    ``table`` is its name, with its schema if it was given with one; ``columns`` says in how many rows each changed;
    ``data`` has the rows and ``sieve`` finds keys among them. ``is_common`` says that other partitions may use them.
    """

    table: str
    kind: Kind
    key: list[str]
    rows: int
    columns: Mapping[str, int]
    sieve: bytes
    data: bytes
    is_common: bool = False


@dataclass(frozen=True)
class ChangeOptions:
    """What is said of all jobs: whether changes are kept (``None``: as each strategy has it), which columns' values are
    hashed instead (patterns of ``column`` or ``table.column``), and the key that they are hashed with."""

    keep: bool | None = None
    hidden: tuple[str, ...] = ()
    secret: bytes = b""


class Changes:
    """The changes that a job makes.

    Args:
        options: for all jobs.
        asked: whether this job's context asks to keep them, ``None`` where it does not say.
    """

    def __init__(self, options: ChangeOptions, asked: bool | None) -> None:
        self.options = options
        #: Whether changes are kept.
        self.are_kept = next((said for said in (asked, options.keep) if said is not None), True)
        self._blocks: list[LoggedBlock] = []
        self._watched: list[WatchedRows] = []

    def make_table(self, engine: Engine) -> None:
        """Create the table where changes are kept, and it is not there."""
        if self.are_kept:
            create_table(engine, change_table)

    def watch(self, connection: Connection, table: str, rows: Any, key: Sequence[str] = ()) -> None:
        """Have what the chunk does to these rows by statements of its own be logged; call it before they are written.

        Args:
            connection: of the chunk.
            table: the name of a table of the target.
            rows: which rows, whether they are there or not: a frame or dicts, of which the key's columns are used.
            key: the columns that tell rows apart, by default the primary key.

        Raises:
            JobRefused: there is no such table, or no such key.
        """
        from batch_jobs.strategies.tables.changes.watching import WatchedRows  # which needs pyarrow, and this module
        from batch_jobs.strategies.tables.databases.naming import require_table

        if self.are_kept:
            self._watched.append(WatchedRows(connection, require_table(connection.engine, table), rows, key))

    def add(self, block: LoggedBlock) -> None:
        """Take rows that the open chunk changes; they are written with it."""
        self._blocks.append(block)

    @contextmanager
    def in_chunk(self, connection: Connection) -> Iterator[None]:
        """The time of a chunk on this connection."""
        if not self.are_kept:
            yield
            return
        info = connection.info  # which a lost connection does not give
        info[CHANGES] = self
        self._blocks.clear()
        self._watched.clear()
        try:
            yield
        finally:
            info.pop(CHANGES, None)

    def write(self, connection: Connection, job_id: str, partition: int | None, chunk: int) -> None:
        """Write what the chunk of this number changed, in its transaction."""
        for watched in self._watched:
            self._blocks += watched.changes(self.options)
        if not self._blocks:
            return
        own = WHOLE if partition is None else partition
        place, now = {"job_id": job_id, "chunk": chunk}, datetime.now(UTC)
        rows = [
            _row(block, now) | place | {"partition": own + COMMON * block.is_common, "number": number}
            for number, block in enumerate(self._blocks)
        ]
        connection.execute(insert(change_table), rows)
        self._blocks.clear()


def changes_of(connection: Connection) -> Changes | None:
    """What takes the changes made in the chunk that is open on a connection; ``None`` where none are kept."""
    found: Changes | None = connection.info.get(CHANGES)
    return found


def moment_text(at: datetime) -> str:
    """When a block was written, as people are shown it; SQLite gives times in UTC that do not say so."""
    moment = at if at.tzinfo else at.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def first_change(engine: Engine, job_id: str) -> datetime | None:
    """When a job changed something first, as far as its changes are kept; ``None`` where none are."""
    if not inspect(engine).has_table(change_table.name):
        return None
    with engine.connect() as connection:
        made_at: datetime | None = connection.scalar(
            select(func.min(change_table.c.made_at)).where(change_table.c.job_id == job_id)
        )
    return made_at


def _row(block: LoggedBlock, now: datetime) -> dict[str, object]:
    return {
        "table_name": block.table,
        "kind": block.kind,
        "key_columns": block.key,
        "rows": block.rows,
        "columns": dict(block.columns),
        "sieve": block.sieve,
        "data": block.data,
        "made_at": now,
    }
