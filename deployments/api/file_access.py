"""Who owns a file of the store, and what its key may be used for."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api
from batch_jobs.deployments.api.errors import FileGone, FileInUse, InputWrong
from batch_jobs.flows.errors import JobUnknown
from batch_jobs.flows.jobs.model import Job
from batch_jobs.strategies.sdk.context_fields import Names, changed, named, texts
from batch_jobs.strategies.sdk.errors import FileKeyUnsafe, FileMissing
from batch_jobs.strategies.sdk.files import JOBS, UPLOADS, is_pattern, plain_key
from batch_jobs.strategies.tables.formats.packing import split_member

#: How the keys of uploads and of jobs' files are made; a key is found in the store in this plain form only.
STORED = re.compile(r"(uploads/|jobs/batch_)[0-9A-Z]{26}/.+")
LONGEST_KEY = 512
MOST_PATTERNS = 20


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
        self._own_keys: dict[str, bool] = {}

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
        """Whether a file, there or not, is the caller's to read; ``FileKeyUnsafe`` where it is no key."""
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

    def check_context(self, model: type[BaseModel], context: Mapping[str, Any]) -> dict[str, Any]:
        """Let no job read a file that its creator may not read; a pattern means those files that they may.

        Fields that are file keys are looked at. In others, a text that is the whole key of an upload or of a job's file
        is one all the same: a strategy may open it though its field has no mark.

        Args:
            model: of the context.
            context: as it was given.

        Raises:
            FileMissing: a key in the context names a file that they may not read, or none.
            FileKeyUnsafe: it is no key.
            InputWrong: there are too many patterns.
        """
        patterns = sum(map(is_pattern, named(model, context, Names.FILE)))
        if patterns > MOST_PATTERNS:  # the store is looked through for each
            raise InputWrong(f"a context may have at most {MOST_PATTERNS} patterns of files")

        def see(names: Names | None, value: Any) -> Any:
            is_key = names is Names.FILE
            resolved = self._resolved(value) if is_key else value
            for _, text in texts(resolved):
                if is_key or _is_stored_key(text):
                    self._require_own(plain_key(split_member(text)[0]))
            return resolved

        return changed(model, context, see)

    def check_present(self, model: type[BaseModel], context: Mapping[str, Any]) -> None:
        """Let no job be created for a file that is gone, or a pattern that no file matches.

        Args:
            model: of the context.
            context: one that was checked by ``check_context``.

        Raises:
            FileGone: a field that names files names such a one.
        """
        for place in dict.fromkeys(split_member(text)[0] for text in named(model, context, Names.FILE)):
            if not any(map(self._files.exists, self._files.matching(place))):
                raise FileGone(place)

    def _require_own(self, plain: str) -> None:
        if not self._is_own(plain):
            raise FileMissing(plain)

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
        if plain not in self._own_keys:  # a context may name one file very often
            self._own_keys[plain] = self._finds_own(plain)
        return self._own_keys[plain]

    def _finds_own(self, plain: str) -> bool:
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


def _is_stored_key(text: str) -> bool:
    try:
        return len(text) <= LONGEST_KEY and STORED.fullmatch(plain_key(text)) is not None
    except FileKeyUnsafe:
        return False  # the store reads keys by the same function, so that no file is reached by it
