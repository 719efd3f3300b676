"""A served workspace, on SQLite and on PostgreSQL; one at a time, as they share Prefect and its deployments."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.serving import Served


@pytest.fixture(scope="module")
def prefect_of_module(prefect_server: dict[str, str]) -> Iterator[dict[str, str]]:
    """The tests' Prefect server, also for flows and services in this process."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_server["PREFECT_API_URL"]}):
        yield prefect_server


@pytest.fixture(scope="module")
def postgres_of_module(pg_server: Any) -> Iterator[str]:
    """A fresh PostgreSQL database for a module's tests."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(pg_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield pg_server.get_uri(name).replace("postgresql://", "postgresql+psycopg://", 1)
    with psycopg.connect(pg_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


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
