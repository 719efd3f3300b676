"""A workspace on PostgreSQL whose jobs are cut, and run in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.parted import PartedRuns, parted_runs


@pytest.fixture
def runs(postgres_url: str, tmp_path: Path, prefect_server: dict[str, str]) -> Iterator[PartedRuns]:
    """Two partitions at a time, in processes."""
    with parted_runs(postgres_url, tmp_path, prefect_server) as made:
        yield made
