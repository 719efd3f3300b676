"""A served workspace, on SQLite and on PostgreSQL; one at a time, as they share Prefect and its deployments."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.postgres import FreshDatabases
from support.serving import Served


@pytest.fixture(scope="module")
def prefect_of_module(prefect_server: dict[str, str]) -> Iterator[dict[str, str]]:
    """The tests' Prefect server, also for flows and services in this process."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_server["PREFECT_API_URL"]}):
        yield prefect_server


@pytest.fixture(scope="module")
def postgres_of_module(fresh_databases: FreshDatabases) -> Iterator[str]:
    """A fresh PostgreSQL database for a module's tests."""
    with fresh_databases.one() as uri:
        yield uri.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def workspace_served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, prefect_of_module: dict[str, str]
) -> Iterator[Served]:
    """A workspace that is not served yet."""
    folder = tmp_path_factory.mktemp("served")
    if request.param == "postgres":
        url = str(request.getfixturevalue("postgres_of_module"))
        served = Served(folder, url, url, prefect_of_module)
    else:
        served = Served(folder, f"sqlite:///{folder}/jobs.db", f"sqlite:///{folder}/target.db", prefect_of_module)
    yield served
    served.close()


@pytest.fixture
def served(workspace_served: Served) -> Served:
    """A workspace with a living ``batch-jobs serve``."""
    if not any(process.poll() is None for process in workspace_served.processes):
        workspace_served.start()
    return workspace_served


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that a gated job waits for; what waits there may go on when the test is over."""
    path = tmp_path / "gate"
    yield path
    path.touch()
