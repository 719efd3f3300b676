from pathlib import Path

import pytest
from sqlalchemy import Engine

from batch_jobs.strategies.sdk.files import FileStore
from support.importing import Importing


@pytest.fixture
def importing(target: Engine, tmp_path: Path) -> Importing:
    """Runs imports into the target."""
    return Importing(target, FileStore(str(tmp_path / "files")))
