"""Who owns the uploads in the file store."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Engine, func, insert, select, update

from batch_jobs.flows.jobs.model import Row
from batch_jobs.flows.jobs.table import batch_job_upload as table
from batch_jobs.strategies.sdk.database import for_writing


class Upload(Row):
    """A file that somebody uploaded; once deleted it is remembered, so that deleting it again is fine."""

    key: str
    owner: str
    size: int
    created_at: datetime
    deleted_at: datetime | None = None


class UploadStore:
    """The list of uploads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, owner: str, files: Sequence[tuple[str, int]]) -> None:
        """Record the owner of new files, each a key and its bytes."""
        now = datetime.now(UTC)
        rows = [{"key": key, "owner": owner, "size": size, "created_at": now} for key, size in files]
        with for_writing(self._engine.connect()) as connection, connection.begin():
            connection.execute(insert(table), rows)

    def get(self, key: str) -> Upload | None:
        """The upload of this key; ``None`` for a file that came another way."""
        with self._engine.connect() as connection:
            row = connection.execute(select(table).where(table.c.key == key)).one_or_none()
        return Upload.model_validate(row) if row else None

    def page(self, owner: str | None, limit: int, offset: int = 0, before: str | None = None) -> list[Upload]:
        """The newest uploads first, of everybody where ``owner`` is ``None``; deleted ones are left out.

        Args:
            owner: who uploaded them.
            limit: how many at most.
            offset: how many to leave out.
            before: the key of the last one of the page before; keys are in the order of their making.
        """
        older = [] if before is None else [table.c.key < before]
        query = select(table).where(*_kept(owner), *older).order_by(table.c.key.desc()).limit(limit).offset(offset)
        with self._engine.connect() as connection:
            return [Upload.model_validate(row) for row in connection.execute(query)]

    def count(self, owner: str | None) -> int:
        """How many uploads there are of somebody, or in all; deleted ones are left out."""
        with self._engine.connect() as connection:
            return int(connection.scalars(select(func.count()).select_from(table).where(*_kept(owner))).one())

    def mark_deleted(self, key: str) -> None:
        """Record that an upload is gone."""
        with for_writing(self._engine.connect()) as connection, connection.begin():
            connection.execute(
                update(table)
                .where(table.c.key == key, table.c.deleted_at.is_(None))
                .values(deleted_at=datetime.now(UTC))
            )


def _kept(owner: str | None) -> list[ColumnElement[bool]]:
    kept: list[ColumnElement[bool]] = [table.c.deleted_at.is_(None)]
    return kept if owner is None else [*kept, table.c.owner == owner]
