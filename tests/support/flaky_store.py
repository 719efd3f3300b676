"""A file store in memory that answers, or fails as one does that is away: at all, or for the listing of one folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem

URL = "flaky://store"


class FlakyFileSystem(MemoryFileSystem):
    """Asks as stores behind a network do, by ``info`` and ``ls``."""

    protocol = ("flaky",)
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    failing = ""
    find = AbstractFileSystem.find
    isfile = AbstractFileSystem.isfile
    exists = AbstractFileSystem.exists

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.replace("flaky://", "memory://")))

    def info(self, path: str, **kwargs: Any) -> Any:
        self._answer(path)
        return super().info(path, **kwargs)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        self._answer(f"{path} listed")
        return super().ls(path, detail, **kwargs)

    def _answer(self, asked: str) -> None:
        if self.failing and self.failing in asked:
            raise ConnectionError("connection reset by peer")


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Let questions fail whose path has this in it; that of a listing ends with ``listed``."""
    FlakyFileSystem.failing = what
    try:
        yield
    finally:
        FlakyFileSystem.failing = ""


fsspec.register_implementation("flaky", FlakyFileSystem)
