"""The log of what jobs changed, read block by block."""

from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, Select, literal, select, tuple_

from batch_jobs.strategies.sdk.change_log import change_table
from batch_jobs.strategies.tables.changes.blocks import unpacked
from batch_jobs.strategies.tables.changes.reading import BlockHead, Place

AT_ONCE = 100
_C = change_table.c
_PLACE = (_C.job_id, _C.partition, _C.chunk, _C.number)
_HEAD = (*_PLACE, _C.table_name, _C.kind, _C.key_columns, _C.columns)


class LoggedBlocks:
    """What one job changed, in the order in which it did.

    Args:
        connection: to the target.
        job_id: of the job.
        by_key: whether rows are looked for by their key.
    """

    def __init__(self, connection: Connection, job_id: str, by_key: bool = False) -> None:
        self._connection = connection
        self._job_id = job_id
        self._columns = (*_HEAD, _C.sieve) if by_key else _HEAD

    def heads(self, start: Place | None) -> Iterator[BlockHead]:
        """From a place (partition, chunk, number) on."""
        of_job, place = _C.job_id == self._job_id, (_C.partition, _C.chunk, _C.number)
        query = select(*self._columns).where(of_job).order_by(*place).limit(AT_ONCE)
        found = self._connection.execute(query.where(tuple_(*place) >= _values(start)) if start else query).all()
        while found:
            yield from (_head(row, tuple(row[1:4])) for row in found)
            last = _values(found[-1][1:4])
            found = self._connection.execute(query.where(tuple_(*place) > last)).all() if _is_full(found) else []

    def rows(self, head: BlockHead) -> pa.Table:
        """The rows of a block."""
        return _rows(self._connection, (self._job_id, *head.place))


class LoggedRows:
    """What all jobs changed in one table, for a row of it: the newest job first.

    Args:
        connection: to the target.
        tables: the names that jobs were given it by.
    """

    def __init__(self, connection: Connection, tables: Collection[str]) -> None:
        self._connection = connection
        self._tables = list(tables)

    def heads(self, start: Place | None) -> Iterator[BlockHead]:
        """From a place (job, partition, chunk, number) on, backwards."""
        # a job's id begins with the time when it was created; in SQLite ``made_at`` lies behind a whole block
        order = [column.desc() for column in _PLACE]
        query = select(*_HEAD, _C.sieve).where(_C.table_name.in_(self._tables)).order_by(*order).limit(AT_ONCE)
        found = self._connection.execute(query.where(tuple_(*_PLACE) <= _values(start)) if start else query).all()
        while found:
            yield from (_head(row, tuple(row[:4])) for row in found)
            last = _values(found[-1][:4])
            found = self._connection.execute(query.where(tuple_(*_PLACE) < last)).all() if _is_full(found) else []

    def rows(self, head: BlockHead) -> pa.Table:
        """The rows of a block."""
        return _rows(self._connection, head.place)

    def made_at(self, places: Collection[Place]) -> dict[Place, Any]:
        """When blocks were written."""
        query = select(*_PLACE, _C.made_at).where(tuple_(*_PLACE).in_([tuple(place) for place in set(places)]))
        return {tuple(row[:4]): row.made_at for row in self._connection.execute(query)} if places else {}


def has_changes(connection: Connection, condition: ColumnElement[bool]) -> bool:
    """Whether the log has a block that meets a condition."""
    query: Select[Any] = select(literal(1)).where(select(_C.job_id).where(condition).exists())
    return connection.scalar(query) is not None


def of_job(job_id: str) -> ColumnElement[bool]:
    """The blocks of a job."""
    return _C.job_id == job_id


def of_tables(tables: Collection[str]) -> ColumnElement[bool]:
    """The blocks of some tables."""
    return _C.table_name.in_(list(tables))


def _head(row: Any, place: Place) -> BlockHead:
    sieve = row._mapping.get("sieve")
    return BlockHead(place, row.table_name, row.kind, row.key_columns, row.columns, sieve)


def _rows(connection: Connection, place: Place) -> pa.Table:
    query = select(_C.data).where(*(column == value for column, value in zip(_PLACE, place, strict=True)))
    data = connection.scalar(query)
    return pa.table({}) if data is None else unpacked(data)


def _values(place: Any) -> Any:
    return tuple_(*(literal(value) for value in place))


def _is_full(found: Any) -> bool:
    return len(found) == AT_ONCE
