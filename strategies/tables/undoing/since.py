"""Which jobs changed rows after a job did, by the log."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Connection, and_, literal, or_, select

from batch_jobs.strategies.sdk.change_log import change_table, moment_text
from batch_jobs.strategies.sdk.checkpoint import WHOLE
from batch_jobs.strategies.tables.changes.blocks import keys_as_text
from batch_jobs.strategies.tables.changes.matching import places_of
from batch_jobs.strategies.tables.changes.sieve import held
from batch_jobs.strategies.tables.undoing.blocks import Indices
from batch_jobs.strategies.tables.undoing.keeping import Author
from batch_jobs.strategies.tables.undoing.log import Logged, LoggedChunk, rows_of

#: Blocks of later jobs that are looked into for a chunk, the newest first.
MOST = 200


class Later:
    """Finds who changed rows later than a chunk of a job did.

    Args:
        job_id: the job.
        chunk: of it.
    """

    def __init__(self, job_id: str, chunk: LoggedChunk) -> None:
        self.job_id = job_id
        self._chunk = chunk

    def who(self, connection: Connection, logged: Logged, indices: list[int]) -> list[Author | None]:
        """The job that changed each of some rows last and when, ``None`` where the log has none.

        Args:
            connection: to the target.
            logged: the block that they are of.
            indices: which of its rows.
        """
        keys = keys_as_text(logged.changed).take(pa.array(indices, pa.int64()))
        found: list[Author | None] = [None] * len(indices)
        is_open = np.ones(len(indices), dtype=bool)
        c = change_table.c
        query = select(c.job_id, c.partition, c.chunk, c.number, c.sieve, c.made_at).where(self._is_later(logged))
        for row in connection.execute(query.order_by(c.made_at.desc()).limit(MOST)).all():
            may_be = np.flatnonzero(is_open & held(row.sieve, keys))
            for index in self._held(connection, dict(row._mapping), keys, may_be) if len(may_be) else ():
                found[index], is_open[index] = Author(row.job_id, moment_text(row.made_at)), False
            if not is_open.any():
                break
        return found

    def _held(self, connection: Connection, place: Mapping[str, Any], keys: pa.Table, may_be: Indices) -> list[int]:
        is_it = (change_table.c[name] == place[name] for name in ("job_id", "partition", "chunk", "number"))
        row = connection.execute(select(change_table).where(*is_it)).first()
        changed = None if row is None else rows_of(row)
        if changed is None or list(changed.key) != keys.column_names:
            return []
        theirs = keys_as_text(changed)
        places = places_of(keys.take(pa.array(may_be)), theirs)
        return [int(index) for index in may_be[pc.is_valid(places).to_numpy(zero_copy_only=False)]]

    def _is_later(self, logged: Logged) -> ColumnElement[bool]:
        c, chunk = change_table.c, self._chunk
        behind = or_(c.chunk > chunk.chunk, and_(c.chunk == chunk.chunk, c.number > logged.number))
        in_the_same = and_(c.partition == chunk.partition, behind)
        after_partitions = and_(c.partition == WHOLE, literal(chunk.partition) != WHOLE)
        of_its_own = and_(c.job_id == self.job_id, or_(in_the_same, after_partitions))
        of_others = and_(c.job_id != self.job_id, c.made_at >= logged.made_at)
        return and_(c.table_name == logged.changed.table, or_(of_its_own, of_others))
