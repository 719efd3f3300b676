"""Uploads that come in parts and go on where they were cut off.

The bytes wait as files of the store, one a part, so that any store will do and any process of the installation may take
the next part. Which of them count, and in which order, is in the job database alone: a part that was written and not
recorded, because its process died or another one was first, is never read.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from ulid import ULID

from batch_jobs.flows.errors import UploadNotTaken, UploadOutOfStep, UploadUnknown
from batch_jobs.flows.jobs.model import Row
from batch_jobs.flows.jobs.table import batch_job_unfinished_upload as table
from batch_jobs.flows.jobs.table import batch_job_upload as finished
from batch_jobs.flows.jobs.table import batch_job_upload_part as part_table
from batch_jobs.strategies.sdk.database import for_writing
from batch_jobs.strategies.sdk.errors import FileMissing
from batch_jobs.strategies.sdk.files import COPY_BYTES, PARTS, UPLOADS, FileStore, harmless_name

LONGEST_NAME = 255
LONGEST_FINGERPRINT = 128
#: Of one owner at a time; what is abandoned goes with the pruning.
MOST_UNFINISHED = 100
#: Of one upload: each is a file until it is finished.
MOST_PARTS = 10_000


class UnfinishedUpload(Row):
    """An upload of which some bytes are there: the next part begins at ``received``."""

    id: str
    owner: str
    name: str
    size: int
    fingerprint: str
    received: int
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> str:
        """The key that its file gets."""
        return f"{UPLOADS}/{self.id}/{harmless_name(self.name)}"

    @property
    def folder(self) -> str:
        """Where its parts are."""
        return f"{PARTS}/{self.id}"


class ResumableUploads:
    """Takes uploads in parts.

    Args:
        engine: of the job database.
        files: the file store.
        largest: bytes that a file may have.
    """

    def __init__(self, engine: Engine, files: FileStore, largest: int) -> None:
        self._engine, self._files, self._largest = engine, files, largest

    def begin(self, owner: str, name: str, size: int, fingerprint: str) -> UnfinishedUpload:
        """Begin an upload, or find the one of the same file that was not finished.

        Args:
            owner: who uploads it.
            name: the file's, as its owner has it.
            size: its bytes.
            fingerprint: what tells it from another of that name and size, such as a hash of its first megabyte.

        Returns:
            Its ``id``, and in ``received`` where to go on.

        Raises:
            UploadNotTaken: it is too large, is called nothing, or its owner has too many unfinished ones.
        """
        self._check(name, size, fingerprint)
        same = (
            (table.c.owner == owner)
            & (table.c.name == name)
            & (table.c.size == size)
            & (table.c.fingerprint == fingerprint)
        )
        now = datetime.now(UTC)
        made = {"owner": owner, "name": name, "size": size, "fingerprint": fingerprint, "received": 0}
        with self._engine.connect() as connection:
            row = connection.execute(select(table).where(same)).one_or_none()
        if row is not None:
            return UnfinishedUpload.model_validate(row)
        try:
            with self._writing() as connection:
                self._limit(connection, owner)
                connection.execute(insert(table).values(**made, id=str(ULID()), created_at=now, updated_at=now))
        except IntegrityError:  # another tab was first
            pass
        with self._engine.connect() as connection:
            return UnfinishedUpload.model_validate(connection.execute(select(table).where(same)).one())

    def append(self, upload_id: str, owner: str, offset: int, data: bytes) -> int:
        """Take the next bytes; returns where to go on. They are in whole or not at all.

        Raises:
            UploadUnknown: there is no such upload of this owner, or it is finished.
            UploadOutOfStep: they do not begin where the upload stands; says where that is.
            UploadNotTaken: they are more than the file has, or the file comes in too many parts.
            StorageFull: there is no room.
        """
        upload = self._get(upload_id, owner)
        if offset != upload.received:
            raise UploadOutOfStep(upload.name, upload.received)
        if not data:
            return upload.received
        if offset + len(data) > upload.size:
            raise UploadNotTaken(f"{upload.name} was to have {upload.size:,} bytes and more came; upload it anew")
        key = f"{upload.folder}/{ULID()}"  # of its own: whoever is second must not write over the first
        with self._files.writing(key) as stream:
            stream.write(data)
        if not self._record(upload, key, len(data)):
            self._files.remove(key)
            raise UploadOutOfStep(upload.name, self._get(upload_id, owner).received)
        return offset + len(data)

    def finish(self, upload_id: str, owner: str) -> str:
        """Put the parts together; returns the file's key, which is one of the owner's uploads then.

        It may be called again where nobody knows whether it was done.

        Raises:
            UploadUnknown: there is no such upload of this owner.
            UploadOutOfStep: some of it has not come yet; says from where on.
            StorageFull: there is no room.
        """
        try:
            upload = self._get(upload_id, owner)
        except UploadUnknown:
            if (key := self._finished_key(upload_id, owner)) is not None:
                return key
            raise
        if upload.received != upload.size:
            raise UploadOutOfStep(upload.name, upload.received)
        try:
            self._put_together(upload)
        except FileMissing:
            if (key := self._finished_key(upload_id, owner)) is not None:  # another call was first
                return key
            raise
        self._record_finished(upload)
        self._files.remove(upload.folder)
        return upload.key

    def drop(self, upload_id: str, owner: str) -> None:
        """Give an upload up; fine where there is none."""
        with self._writing() as connection:
            mine = (table.c.id == upload_id) & (table.c.owner == owner)
            if connection.execute(delete(table).where(mine)).rowcount == 0:
                return
            connection.execute(delete(part_table).where(part_table.c.upload_id == upload_id))
        self._files.remove(f"{PARTS}/{upload_id}")

    def _check(self, name: str, size: int, fingerprint: str) -> None:
        if not name.strip() or len(name) > LONGEST_NAME or not is_storable(name):
            raise UploadNotTaken(f"a file's name has 1 to {LONGEST_NAME} characters that are text; rename it")
        if not 0 <= size <= self._largest:
            most = f"{self._largest:,} (BATCH_JOBS_MAX_UPLOAD_BYTES)"
            raise UploadNotTaken(f"{name} has {size:,} bytes and an upload may have {most}")
        if not 0 < len(fingerprint) <= LONGEST_FINGERPRINT or not is_storable(fingerprint):
            raise UploadNotTaken(f"a fingerprint has 1 to {LONGEST_FINGERPRINT} characters, as a hash has")

    def _limit(self, connection: Connection, owner: str) -> None:
        unfinished = select(func.count()).select_from(table).where(table.c.owner == owner)
        if connection.scalars(unfinished).one() >= MOST_UNFINISHED:
            raise UploadNotTaken(f"{MOST_UNFINISHED} uploads of {owner} are unfinished; finish or drop some first")

    def _get(self, upload_id: str, owner: str) -> UnfinishedUpload:
        with self._engine.connect() as connection:
            row = connection.execute(select(table).where(table.c.id == upload_id, table.c.owner == owner)).one_or_none()
        if row is None:
            raise UploadUnknown(upload_id)
        return UnfinishedUpload.model_validate(row)

    def _record(self, upload: UnfinishedUpload, key: str, size: int) -> bool:
        """Count a part, where the upload still stands where it did."""
        stands = (table.c.id == upload.id) & (table.c.received == upload.received)
        values = {"received": upload.received + size, "updated_at": datetime.now(UTC)}
        with self._writing() as connection:
            if connection.execute(update(table).where(stands).values(values)).rowcount == 0:
                return False
            parts = select(func.count()).select_from(part_table).where(part_table.c.upload_id == upload.id)
            if upload.received + size < upload.size and connection.scalars(parts).one() >= MOST_PARTS - 1:
                raise UploadNotTaken(f"{upload.name} comes in more than {MOST_PARTS:,} parts; send larger ones")
            part = {"upload_id": upload.id, "begins_at": upload.received, "key": key}
            connection.execute(insert(part_table).values(part))
        return True

    def _parts(self, upload_id: str) -> Sequence[str]:
        mine = select(part_table.c.key).where(part_table.c.upload_id == upload_id).order_by(part_table.c.begins_at)
        with self._engine.connect() as connection:
            return connection.scalars(mine).all()

    def _put_together(self, upload: UnfinishedUpload) -> None:
        with self._files.writing(upload.key) as target:
            for part in self._parts(upload.id):
                with self._files.open(part) as source:
                    shutil.copyfileobj(source, target, COPY_BYTES)

    def _record_finished(self, upload: UnfinishedUpload) -> None:
        """Make the file an upload of its owner's, once."""
        with self._writing() as connection:
            connection.execute(delete(part_table).where(part_table.c.upload_id == upload.id))
            if connection.execute(delete(table).where(table.c.id == upload.id)).rowcount:
                row = {"key": upload.key, "owner": upload.owner, "size": upload.size, "created_at": datetime.now(UTC)}
                connection.execute(insert(finished).values(row))

    def _finished_key(self, upload_id: str, owner: str) -> str | None:
        mine = (finished.c.key.startswith(f"{UPLOADS}/{upload_id}/", autoescape=True)) & (finished.c.owner == owner)
        with self._engine.connect() as connection:
            return connection.scalars(select(finished.c.key).where(mine, finished.c.deleted_at.is_(None))).first()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with for_writing(self._engine.connect()) as connection, connection.begin():
            yield connection


def is_storable(text: str) -> bool:
    """Whether every database can hold a text."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
