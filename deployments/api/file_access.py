"""Who owns a file of the store, and what its key may be used for."""

from collections.abc import Mapping
from typing import Any

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api
from batch_jobs.deployments.api.errors import FileGone, FileInUse
from batch_jobs.flows.errors import JobUnknown
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.named_files import FILE_FIELDS, texts
from batch_jobs.strategies.sdk.errors import FileKeyUnsafe, FileMissing
from batch_jobs.strategies.sdk.files import is_pattern, plain_key
from batch_jobs.strategies.tables.formats.packing import split_member

UPLOADS, JOBS = "uploads", "jobs"


class FileAccess:
    """What one caller may do with files.

    An upload is for keys of its uploader's name, a job's file for the job's owner, anything else in the store
    for administrators. Somebody else's file is refused in the words of one that does not exist.
    """

    def __init__(self, api: Api, caller: Caller) -> None:
        self._files = api.files
        self._uploads = api.uploads
        self._service = api.service
        self._caller = caller

    def readable(self, key: str) -> str:
        """The key of a file that is there and may be read, in its plain form.

        Raises:
            FileMissing: there is none, or it is not the caller's.
            FileKeyUnsafe: it is no key.
        """
        plain = plain_key(key)
        if not self._is_own(plain) or not self._files.exists(plain):
            raise FileMissing(plain)
        return plain

    def owns(self, key: str) -> bool:
        """Whether a file, there or not, is the caller's to read."""
        return self._is_own(plain_key(key))

    def delete(self, key: str) -> bool:
        """Delete a file; returns whether it is gone, which it also is when it was deleted before.

        Raises:
            FileInUse: it belongs to a job that has not ended, or such a job's context names it, whoever created it.
            FileKeyUnsafe: it is no key.
        """
        plain = plain_key(key)
        if not self._is_own(plain):
            return False
        job = self._job_of(plain)
        if (job is not None and not job.has_ended) or plain in self._service.files_in_use():
            raise FileInUse(plain)
        known = self._uploads.get(plain) is not None or self._files.exists(plain)
        if self._files.exists(plain):
            self._files.remove(plain)
        self._uploads.mark_deleted(plain)
        return known

    def check_context(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Let no job read a file that its creator may not read; a pattern means those files that they may.

        Raises:
            FileMissing: a key in the context names such a file, or, where a file is surely meant, none.
            FileKeyUnsafe: it is no key, where a file is surely meant.
        """
        resolved = {name: self._resolved(part) if name in FILE_FIELDS else part for name, part in context.items()}
        for field, text in texts(resolved):
            try:
                plain = plain_key(split_member(text)[0] if field in FILE_FIELDS else text)
            except FileKeyUnsafe:
                if field in FILE_FIELDS:
                    raise
                continue  # the store reads keys by the same function, so that no file is reached by it
            named = field in FILE_FIELDS or plain.split("/")[0] in (UPLOADS, JOBS)
            if named and not self._is_own(plain):
                raise FileMissing(plain)
        return resolved

    def check_present(self, context: Mapping[str, Any]) -> None:
        """Let no job be created for a file that is gone, or a pattern that no file matches.

        Args:
            context: one that was checked by ``check_context``.

        Raises:
            FileGone: a field that names files names such a one.
        """
        for field, text in texts(context):
            if field not in FILE_FIELDS or not text:
                continue
            place, _ = split_member(text)
            if not any(map(self._files.exists, self._files.matching(place))):
                raise FileGone(place)

    def _resolved(self, keys: Any) -> Any:
        """Keys, with one's own files in place of patterns; who may read everything need not be bound to them."""
        entries = keys if isinstance(keys, list) else [keys]
        if self._sees_everything or not any(isinstance(entry, str) and is_pattern(entry) for entry in entries):
            return keys
        return [key for entry in entries for key in (self._own(entry) if isinstance(entry, str) else [entry])]

    def _own(self, entry: str) -> list[str]:
        own = [key for key in self._files.matching(entry) if self._is_own(plain_key(split_member(key)[0]))]
        return own or [entry]

    @property
    def _sees_everything(self) -> bool:
        return self._caller.may(Right.EVERYBODYS) and self._caller.may(Right.FILES)

    def _is_own(self, plain: str) -> bool:
        area, _, rest = plain.partition("/")
        if area == JOBS and rest:
            return self._job_of(plain) is not None
        if self._sees_everything:
            return True
        upload = self._uploads.get(plain) if area == UPLOADS else None
        return upload is not None and upload.owner == self._caller.name

    def _job_of(self, plain: str) -> Job | None:
        """The job that the file belongs to, when that is the caller's."""
        area, _, rest = plain.partition("/")
        if area != JOBS:
            return None
        try:
            job = self._service.find(rest.split("/")[0][:64], self._caller.sees_only, self._caller.types)
        except JobUnknown:
            return None
        return job if self._caller.owns(job) else None
