"""Which files of the store contexts name: by key, as one of a list, as an archive with one file in it, by a pattern."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from batch_jobs.strategies.sdk.context_fields import FILE_FIELDS, texts
from batch_jobs.strategies.sdk.errors import FileKeyUnsafe
from batch_jobs.strategies.sdk.files import JOBS, MEMBER, UPLOADS, is_pattern, plain_key

#: A key is known by its first folder, in whatever field it is.
FOLDERS = (UPLOADS, JOBS)


class NamedFiles:
    """The files that some contexts name, as in ``"uploads/…/a.csv" in NamedFiles(contexts)``.

    Args:
        contexts: those of the jobs.
    """

    def __init__(self, contexts: Iterable[Mapping[str, Any]]) -> None:
        self._keys: set[str] = set()
        self._patterns: set[str] = set()
        for context in contexts:
            for field, text in texts(context):
                for key in {text, text.partition(MEMBER)[0]}:
                    self._add(field, key)

    def __contains__(self, key: str) -> bool:
        return key in self._keys or any(fnmatchcase(key, pattern) for pattern in self._patterns)

    def _add(self, field: str, text: str) -> None:
        try:
            key = plain_key(text)
        except FileKeyUnsafe:  # the store reads keys by the same function, so that no file is reached by it
            return
        if field in FILE_FIELDS or key.split("/")[0] in FOLDERS:
            (self._patterns if is_pattern(key) else self._keys).add(key)
