"""A workspace whose jobs run in processes of their own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.runs import Runs

TESTS = Path(__file__).parent.parent


@pytest.fixture
def runs(target_url: str, tmp_path: Path, prefect_server: dict[str, str]) -> Iterator[Runs]:
    """A workspace on SQLite and on PostgreSQL (jobs and target), with chunks of 100 rows."""
    with runs_of(TESTS / "support" / "strategies", target_url, tmp_path, prefect_server) as made:
        yield made


@pytest.fixture
def example_runs(target_url: str, tmp_path: Path, prefect_server: dict[str, str]) -> Iterator[Runs]:
    """The same, with the strategies of the examples."""
    with runs_of(TESTS.parent / "examples" / "strategies", target_url, tmp_path, prefect_server) as made:
        yield made


@contextmanager
def runs_of(strategies: Path, target_url: str, folder: Path, prefect: dict[str, str]) -> Iterator[Runs]:
    home = folder / "home"
    jobs_url = f"sqlite:///{folder / 'jobs.db'}" if target_url.startswith("sqlite") else target_url
    values = {
        "BATCH_JOBS_HOME": str(home),
        "BATCH_JOBS_DATABASE_URL": jobs_url,
        "BATCH_JOBS_TARGET_URL": target_url,
        "BATCH_JOBS_CHUNK_SIZE": "100",
        "BATCH_JOBS_STRATEGIES": str(strategies),
    }
    settings = Settings(
        home=home,
        database_url=jobs_url,
        target_url=target_url,
        chunk_size=100,
        strategies=values["BATCH_JOBS_STRATEGIES"],
    )
    workspace = Workspace(settings)
    yield Runs(workspace, {**os.environ, **prefect, **values})
    workspace.jobs.dispose()
    workspace.target.dispose()
