"""Which files of the store contexts name: by key, as one of a list, as an archive with one file in it, by a pattern."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from batch_jobs.strategies.sdk.context_fields import FILE_FIELDS
from batch_jobs.strategies.sdk.errors import FileKeyUnsafe
from batch_jobs.strategies.sdk.files import is_pattern, plain_key

#: A key is known by its first folder, in whatever field it is.
FOLDERS = ("uploads", "jobs")
MEMBER = "#"  # between an archive's key and the name of a file in it


class NamedFiles:
    """The files that some contexts name, as in ``"uploads/…/a.csv" in NamedFiles(contexts)``.

    Args:
        contexts: those of the jobs.
    """

    def __init__(self, contexts: Iterable[Mapping[str, Any]]) -> None:
        self._keys: set[str] = set()
        self._patterns: set[str] = set()
        for context in contexts:
            for field, text in _texts(context):
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


def _texts(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a context with the name of the field that it is in."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part, field)
