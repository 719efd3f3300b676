"""HOME: the installation's own folder, closed to everybody but its owner."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from batch_jobs.strategies.sdk.closed_folders import make_folder

#: What is ours in a HOME; it may be a project's folder with other things in it.
OURS = ("jobs.db*", "data.db*", "secret.key*", "serve.lock", "serve.log*", "prefect-server*", "files", "prefect")
CLOSED = 0o700


def close_home(home: Path) -> Path:
    """Make a HOME that is closed to others, and close one that was open, with what is ours in it.

    A HOME of somebody else, one that is shared by its rights (the sticky bit, or a group that new files get too), or
    one on a file system without rights, is left as it is, as are the files in it.

    Returns:
        The folder.
    """
    if not home.is_dir():
        make_folder(home.parent)
        with suppress(FileExistsError):
            home.mkdir(CLOSED)
    status = home.stat()
    if status.st_mode & 0o077 and status.st_uid == os.geteuid() and not _is_shared(status.st_mode):
        with suppress(OSError):
            home.chmod(CLOSED)
        if not home.stat().st_mode & 0o077:
            _close_contents(home)
    return home


def _is_shared(mode: int) -> bool:
    return bool(mode & stat.S_ISVTX or (mode & stat.S_ISGID and mode & stat.S_IWGRP))


def _close_contents(home: Path) -> None:
    for path in _ours(home):
        with suppress(OSError):  # it is gone, or somebody else's
            status = path.lstat()
            if not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o077:
                path.chmod(status.st_mode & CLOSED)


def _ours(home: Path) -> Iterator[Path]:
    for pattern in OURS:
        for path in home.glob(pattern):
            yield path
            for folder, folders, files in () if path.is_symlink() else os.walk(path):
                yield from (Path(folder, name) for name in (*folders, *files))
