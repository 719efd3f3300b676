"""What a job has changed, read from the log in the order in which it is taken back: the newest chunk first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Engine, and_, inspect, or_, select

from batch_jobs.strategies.sdk.change_log import Kind, change_table
from batch_jobs.strategies.tables.changes.blocks import GROUP, ChangedRows, unpacked


@dataclass(frozen=True)
class Logged:
    """Rows of a job's log, their number in the chunk, and when they were written."""

    changed: ChangedRows
    number: int
    made_at: datetime

    @property
    def groups(self) -> list[str | None]:
        """What each row goes back together with, ``None`` for those that stand by themselves."""
        rows = self.changed.rows
        found: list[str | None] = rows.column(GROUP).to_pylist() if GROUP in rows.column_names else [None] * len(rows)
        return found


@dataclass(frozen=True)
class LoggedChunk:
    """What one chunk of a job changed, the last of it first."""

    partition: int
    chunk: int
    blocks: Sequence[Logged]
    is_last: bool = False

    @property
    def rows(self) -> int:
        """How many rows it changed."""
        return sum(len(block.changed) for block in self.blocks)

    @property
    def cursor(self) -> dict[str, int]:
        """Where to go on after it."""
        return {"partition": self.partition, "chunk": self.chunk}


class JobLog:
    """The change log of one job.

    Args:
        engine: of the target, where the log is.
        job_id: whose changes.
    """

    def __init__(self, engine: Engine, job_id: str) -> None:
        self._engine = engine
        self._is_its = change_table.c.job_id == job_id

    def tables(self) -> Mapping[str, set[Kind]]:
        """What it did in each table; empty where nothing is kept."""
        if not inspect(self._engine).has_table(change_table.name):
            return {}
        query = select(change_table.c.table_name, change_table.c.kind).where(self._is_its).distinct()
        found: dict[str, set[Kind]] = {}
        with self._engine.connect() as connection:
            for table, kind in connection.execute(query):
                found.setdefault(table, set()).add(kind)
        return found

    def chunks(self, after: Mapping[str, int] | None) -> Iterator[LoggedChunk]:
        """Its chunks behind a cursor: those of the job itself, then those of each partition, the newest first."""
        place = self._next(after)
        while place is not None:
            blocks = self._blocks(place)
            following = self._next(place)
            yield LoggedChunk(place["partition"], place["chunk"], blocks, following is None)
            place = following

    def _next(self, after: Mapping[str, int] | None) -> dict[str, int] | None:
        c = change_table.c
        query = select(c.partition, c.chunk).where(self._is_its).order_by(c.partition, c.chunk.desc()).limit(1)
        if after is not None:
            in_the_same = and_(c.partition == after["partition"], c.chunk < after["chunk"])
            query = query.where(or_(c.partition > after["partition"], in_the_same))
        with self._engine.connect() as connection:
            found = connection.execute(query).first()
        return None if found is None else {"partition": found.partition, "chunk": found.chunk}

    def _blocks(self, place: Mapping[str, int]) -> list[Logged]:
        c = change_table.c
        is_there = and_(self._is_its, c.partition == place["partition"], c.chunk == place["chunk"])
        with self._engine.connect() as connection:
            rows = connection.execute(select(change_table).where(is_there).order_by(c.number.desc())).all()
        return [Logged(rows_of(row), row.number, row.made_at) for row in rows]


def rows_of(row: Any) -> ChangedRows:
    """The rows of a row of the log."""
    table: pa.Table = unpacked(row.data)
    return ChangedRows(row.table_name, row.kind, list(row.key_columns), table)
