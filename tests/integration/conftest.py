"""The job table on both databases, and a real API on a free port with a home of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from batch_jobs.flows.database import upgrade
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.settings import Settings
from support.api_server import STRATEGIES, Served, served_with


@pytest.fixture
def store(target: Engine) -> JobStore:
    """An empty job table, on SQLite and on PostgreSQL."""
    upgrade(target)
    return JobStore(target)


@pytest.fixture
def no_prefect(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Prefect is in reach."""
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(home / "no-profiles.toml"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture
def serve(home: Path) -> Iterator[Callable[..., Served]]:
    """Starts an API with settings, as many as wanted."""
    running = ExitStack()

    def start(**settings: Any) -> Served:
        given = {"home": home, "strategies": str(STRATEGIES), "api_port": 0, **settings}
        return running.enter_context(served_with(Settings(**given)))

    with running:
        yield start


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One API for all tests that look at nothing but their own jobs."""
    home = tmp_path_factory.mktemp("shared-api")
    with served_with(Settings(home=home, strategies=str(STRATEGIES), api_port=0)) as served:
        yield served


@pytest.fixture
def api(serve: Callable[..., Served], no_prefect: None) -> Served:
    """An API on SQLite without Prefect."""
    return serve()


@pytest.fixture(params=["sqlite", "postgres"])
def api_on_both(request: pytest.FixtureRequest, serve: Callable[..., Served], no_prefect: None) -> Served:
    """An API without Prefect, on each database."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    return serve(database_url=url)


@pytest.fixture
def alice(shared: Served) -> httpx.Client:
    """The client of an operator."""
    return shared.by("alice")
