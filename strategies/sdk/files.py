"""The file store: named files in any place fsspec reaches, each whole or not there at all."""

import errno
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from ulid import ULID

from batch_jobs.strategies.sdk.closed_folders import make_folder, opener
from batch_jobs.strategies.sdk.errors import (
    FileKeyUnsafe,
    FileLeadsOut,
    FileMissing,
    StorageAway,
    StorageFull,
    has_no_room,
)

COPY_BYTES = 1 << 20
#: The first folder of a key: of files that people put in, and of those that jobs write.
UPLOADS, JOBS = "uploads", "jobs"
#: The one of parts of uploads that are not finished; no files to anybody else.
PARTS = "unfinished"
LONGEST_KEY = 1024  # characters, as stores of objects have it
#: Between the key of an archive and the name of a file in it.
MEMBER = "#"
#: What a store raises for a file that it has not; without the right to list, S3 refuses to look for it.
MISSING = (FileNotFoundError, NotADirectoryError, PermissionError)
#: The same by its number, for names that no file can have.
NO_PATH = (errno.ENAMETOOLONG, errno.ELOOP)
#: What makes a key a pattern.
WILD = re.compile(r"[*?\[]")
#: How the name of a file ends that is still being written. No key ends so: what is not listed cannot be opened either.
UNFINISHED = ".part"


@dataclass(frozen=True)
class StoredFile:
    """A file of the store: its key and its size in bytes."""

    key: str
    size: int


class FileStore:
    """Files by key under one fsspec URL, such as ``file:///srv/files`` or ``s3://bucket/jobs``.

    The folder of a local store may be a link. One in it that leads elsewhere is no file: it is not followed.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # here, as settings and job lists do without it
        from fsspec.implementations.local import LocalFileSystem

        self.url = url
        self._fs, self._root = fsspec.core.url_to_fs(url)
        self._is_local = isinstance(self._fs, LocalFileSystem)

    def put(self, source: BinaryIO, name: str) -> str:
        """Copy a stream into the store; return its key ``uploads/<ulid>/<name>``, the name made harmless."""
        key = upload_key(name)
        with self.writing(key) as stream:
            shutil.copyfileobj(source, stream, COPY_BYTES)
        return key

    def open(self, key: str) -> BinaryIO:
        """Open a file for reading, in bytes.

        Raises:
            FileMissing: there is none.
            FileKeyUnsafe: the key points or leads out of the store, or to a file that is still being written.
            StorageAway: the store does not answer.
        """
        if not self.exists(key):
            raise FileMissing(key)
        return cast(BinaryIO, self._fs.open(self._path(key), "rb"))

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """Write a file under a temporary name; it gets its key when the block ends well, and is removed otherwise.

        Raises:
            StorageFull: there is no room for it.
        """
        path = self._path(key)
        temporary = f"{path}.{ULID()}{UNFINISHED}"
        try:
            with self._open_new(temporary) as stream:
                yield stream
            self._fs.mv(temporary, path)
        except BaseException as error:
            if self._fs.exists(temporary):
                self._fs.rm(temporary)
            if has_no_room(error):
                raise StorageFull("the file store", f"BATCH_JOBS_FILES_URL, {self._root}") from error
            raise

    def size(self, key: str) -> int:
        """Bytes of a file."""
        return int(self._fs.size(self._path(key)))

    def version(self, key: str) -> str:
        """A text that changes when the file is written anew: what the store knows of it, such as size and times."""
        return str(self._fs.ukey(self._path(key)))

    def exists(self, key: str) -> bool:
        """Whether the store has a whole file of this key.

        Raises:
            StorageAway: the store does not answer.
        """
        path = self._path(key)
        return bool(self._fs.isfile(path)) or (self._is_known(path) and bool(self._fs.isfile(path)))

    def list(self, prefix: str = "") -> Sequence[StoredFile]:
        """The files whose key starts with a folder's name, by key; unfinished ones and parts of uploads are left out.

        Raises:
            StorageAway: the store does not answer.
        """
        folder = self._path(prefix) if prefix else self._root
        if not self._is_known(folder):
            return []
        found = self._fs.find(folder, detail=True)
        start = len(self._root.rstrip("/")) + 1
        return [
            StoredFile(path[start:], info["size"])
            for path, info in sorted(found.items())
            if not path.endswith(UNFINISHED)
            and (prefix or not path[start:].startswith(f"{PARTS}/"))
            and not (info.get("islink") and self._is_elsewhere(path))
        ]

    def matching(self, key: str) -> Sequence[str]:
        """The key itself, or where it is a pattern such as ``uploads/*.csv`` the keys that match it, sorted.

        ``*`` stands for any text, folders included, ``?`` for one character and ``[ab]`` for one of some. Of an
        archive's files, which come after ``#``, nothing is looked at.

        Raises:
            FileKeyUnsafe: it points out of the store, or leads out of it.
        """
        place, hash, member = key.partition(MEMBER)
        if not WILD.search(place) or self.exists(place):
            return [key]
        pattern = plain_key(place)
        folder = pattern[: WILD.search(pattern).start()].rpartition("/")[0]  # type: ignore[union-attr]
        return [f"{file.key}{hash}{member}" for file in self.list(folder) if fnmatchcase(file.key, pattern)]

    def remove(self, prefix: str) -> None:
        """Remove a file, or a folder with all its files; fine when there is none. Of a link, it is the link."""
        path = self._place(prefix)
        if self._is_local and self._leads_out(os.path.dirname(path)):
            raise FileLeadsOut(prefix)
        if self._is_local and os.path.islink(path):
            os.unlink(path)
        elif self._fs.exists(path):
            self._fs.rm(path, recursive=True)

    def _is_known(self, path: str) -> bool:
        """Whether there is a file or a folder; fsspec's own questions take every error for a no."""
        try:
            self._fs.info(path)
        except Exception as error:  # each store raises what its library does
            is_missing = isinstance(error, MISSING) or (isinstance(error, OSError) and error.errno in NO_PATH)
            if not is_missing:
                raise StorageAway(self._root, error) from error
            return False
        return True

    def _open_new(self, path: str) -> BinaryIO:
        if self._is_local:
            make_folder(Path(path).parent)
            return open(path, "wb", opener=opener)
        self._fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        return cast(BinaryIO, self._fs.open(path, "wb"))

    def _path(self, key: str) -> str:
        path = self._place(key)
        if self._is_local and self._leads_out(path):
            raise FileLeadsOut(key)
        return path

    def _place(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{plain_key(key)}"

    def _leads_out(self, path: str) -> bool:
        return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._root))

    def _is_elsewhere(self, link: str) -> bool:
        return self._leads_out(link) or not Path(link).is_file()


def is_pattern(key: str) -> bool:
    """Whether a key may mean several files."""
    return WILD.search(key) is not None


def plain_key(key: str) -> str:
    """A key in the one form that the store reads it as: ``a//./b`` is ``a/b``.

    Raises:
        FileKeyUnsafe: it points out of the store, to nothing in it, or to a file that is still being written, or is too
            long for any store.
    """
    if len(key) > LONGEST_KEY:
        raise FileKeyUnsafe(f"{key[:100]}…")
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or ".." in parts or "\\" in key or "\0" in key or "://" in key:
        raise FileKeyUnsafe(key)
    if parts[-1].endswith(UNFINISHED):
        raise FileKeyUnsafe(key)
    return "/".join(parts)


def upload_key(name: str) -> str:
    """A new key for a file of this name: ``uploads/<ulid>/<name>``, the name made harmless."""
    return f"{UPLOADS}/{ULID()}/{harmless_name(name)}"


def harmless_name(name: str) -> str:
    """The last part of a file's name with letters, digits, dot, dash and underscore only, 100 characters at most.

    It keeps its extension, which says the format: where nothing before it is left, ``产品.csv`` is ``file.csv``.
    """
    last = re.split(r"[/\\]", name)[-1]
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", last).rstrip(".-")
    kept = cleaned.lstrip(".-")
    if "." in cleaned.removesuffix(kept):
        kept = f"file.{kept}"
    return _finished(kept[-100:] or "file")


def _finished(name: str) -> str:
    return f"{name.removesuffix(UNFINISHED)}-part" if name.endswith(UNFINISHED) else name
