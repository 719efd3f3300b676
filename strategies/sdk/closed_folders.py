"""New files and folders of this machine: closed to whom the folder that they are in is closed, whatever the umask."""

import os
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make a folder, with those above it that lack; each has at most the rights of the one that it is in."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=_rights(path.parent), exist_ok=True)


def make_file(path: Path) -> None:
    """Make an empty file where there is none, as ``opener`` does."""
    os.close(opener(str(path), os.O_CREAT | os.O_WRONLY))


def opener(path: str, flags: int) -> int:
    """Open a file for ``open(..., opener=opener)``; a new one has at most the rights of its folder."""
    return os.open(path, flags | os.O_CLOEXEC, _rights(Path(path).parent) & 0o666)


def _rights(folder: Path) -> int:
    return folder.stat().st_mode & 0o777
