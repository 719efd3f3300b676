"""A file store for a look that leaves nothing behind: what is written goes into a folder, the rest is read."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from batch_jobs.strategies.sdk.files import FileStore


class ScratchFiles(FileStore):
    """The files of a store as they are, and those that were written here beside or over them.

    Args:
        folder: where files are written.
        store: where others are read.
    """

    def __init__(self, folder: Path, store: FileStore) -> None:
        super().__init__(folder.as_uri())
        self._store = store

    def open(self, key: str) -> BinaryIO:
        """Open a file for reading."""
        return super().open(key) if super().exists(key) else self._store.open(key)

    def exists(self, key: str) -> bool:
        """Whether there is a file of this key."""
        return super().exists(key) or self._store.exists(key)

    def size(self, key: str) -> int:
        """Bytes of a file."""
        return super().size(key) if super().exists(key) else self._store.size(key)

    def version(self, key: str) -> str:
        """A text that changes when the file is written anew."""
        return super().version(key) if super().exists(key) else self._store.version(key)

    def matching(self, key: str) -> Sequence[str]:
        """The key itself, or where it is a pattern the keys of the store that match it."""
        return self._store.matching(key)
