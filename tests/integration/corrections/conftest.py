"""Workspaces on both databases, without Prefect."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace

STRATEGIES = Path(__file__).parent.parent.parent / "support" / "strategies"


@pytest.fixture
def workspace(target_url: str, home: Path) -> Iterator[Workspace]:
    """Jobs and target on SQLite and on PostgreSQL."""
    jobs_url = target_url if target_url.startswith("postgresql") else f"sqlite:///{home.parent / 'jobs.db'}"
    made = Workspace(Settings(home=home, database_url=jobs_url, target_url=target_url, strategies=str(STRATEGIES)))
    yield made
    made.jobs.dispose()
    made.target.dispose()
