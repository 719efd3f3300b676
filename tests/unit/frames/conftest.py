from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.tables.frames.frame_import import FrameImport
from support.importing import Importing


@pytest.fixture
def importing_by(target: Engine, tmp_path: Path) -> Callable[..., Importing]:
    def make(transform: Callable[..., Any], chunk_size: int = 3, **attributes: Any) -> Importing:
        return Importing(target, FileStore(str(tmp_path / "files")), chunk_size, frame_import(transform, **attributes))

    return make


def frame_import(transform: Callable[..., Any], **attributes: Any) -> FrameImport:
    """A strategy that does nothing but this to its frames."""
    named = {"identifier": "changed-strategy", "batch_type": "changed", "table": "goods", "key": ["code"]}
    made = type(
        "Changed", (FrameImport,), {**named, "transform": lambda self, frame, job: transform(frame, job), **attributes}
    )
    strategy: FrameImport = made()
    return strategy
