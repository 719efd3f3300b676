"""Fixtures of all tests: real databases, one real Prefect server, a home of one's own."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk.database import make_engine
from support.browsing import CHROMIUM, QUIET
from support.postgres import FreshDatabases, GivenPostgres, own_postgres
from support.servers import prefect_server as run_prefect_server

TESTS = Path(__file__).parent

# No test fails for being slow on a busy machine; in CI the examples are the same each time, so more find nothing more.
settings.register_profile(
    "unhurried", settings(), deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")

# What is compiled is kept, though an environment forbids it: else each process of each run compiles it anew.
sys.dont_write_bytecode = False

#: Files that take minutes, those that take most of them first.
LONGEST = (
    "partitions/test_partition_processes.py",
    "scenarios/test_prefect_away.py",
    "partitions/test_dask.py",
    "scenarios/test_processes.py",
    "integration/test_docs.py",
    "scenarios/test_dying_process.py",
    "partitions/test_ray.py",
    "faults/test_kill_commerce.py",
    "scenarios/test_lost_machines.py",
    "scenarios/test_rolling_release.py",
    "scenarios/test_deployments.py",
    "faults/test_kill.py",
)


#: What these try is the same on every database but for its last step: on PostgreSQL it is among what takes long.
SQLITE_FIRST = (
    "unit/frames/test_frame_export.py",
    "unit/frames/test_frame_import.py",
    "unit/shop/test_file_edges.py",
    "unit/shop/test_formulas_in_files.py",
    "unit/shop/test_layouts.py",
    "unit/shop/test_product_import_cases.py",
    "unit/shop/test_product_import_columns.py",
    "unit/shop/test_product_import_edges.py",
    "unit/shop/test_product_import_errors.py",
    "unit/shop/test_product_import_preview.py",
    "unit/shop/test_product_round_trip.py",
    "unit/shop/test_shop_files.py",
    "unit/table_export/test_export_options.py",
    "unit/table_export/test_round_trip.py",
)


@pytest.hookimpl(tryfirst=True)  # before those that are not asked for are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: with several workers, none of them has much left when the others are done."""
    sqlite_first = {TESTS / name for name in SQLITE_FIRST}
    for item in items:
        if item.path in sqlite_first and _is_on_postgresql(item):
            item.add_marker(pytest.mark.long)
    longest = {TESTS / name: place for place, name in enumerate(LONGEST)}
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("long")}
    items.sort(key=lambda item: (longest.get(item.path, len(longest)), item.path not in slow))


def _is_on_postgresql(item: pytest.Item) -> bool:
    """Whether its fixture of a database, which is on each, is on PostgreSQL here."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return "postgres" in (params.get("target_url"), params.get("open_shop"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium: one for all tests, as Playwright can be begun only once at a time."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; .ci/run installs it")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def pg_server() -> Iterator[Any]:
    """A real PostgreSQL from PyPI, or that of the URL in ``TEST_POSTGRESQL``, as one with ICU and more extensions."""
    if given := os.environ.get("TEST_POSTGRESQL"):
        yield GivenPostgres(given)
        return
    with own_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def fresh_databases(pg_server: Any) -> Iterator[FreshDatabases]:
    """Databases of the PostgreSQL server, each for one test."""
    databases = FreshDatabases(pg_server.get_uri)
    yield databases
    databases.close()


@pytest.fixture
def postgres_url(fresh_databases: FreshDatabases) -> Iterator[str]:
    """A fresh PostgreSQL database."""
    with fresh_databases.one() as uri:
        yield uri.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture(params=["sqlite", "postgres"])
def target_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database, on SQLite and on PostgreSQL."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'target.db'}"


@pytest.fixture
def target(target_url: str) -> Iterator[Engine]:
    """An engine of a fresh database, on SQLite and on PostgreSQL."""
    engine = make_engine(target_url)
    yield engine
    engine.dispose()


@pytest.fixture
def run_sql(target: Engine) -> Callable[[str], list[tuple[Any, ...]]]:
    """Runs a statement on the target, and returns its rows where it has any."""

    def run(statement: str) -> list[tuple[Any, ...]]:
        with target.begin() as connection:
            found = connection.execute(text(statement))
            return [tuple(row) for row in found] if found.returns_rows else []

    return run


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """One real Prefect server for all tests; this process and its children talk to it."""
    with run_prefect_server(tmp_path_factory.mktemp("prefect")) as environment:
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        yield environment
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@pytest.fixture
def prefect_here(prefect_server: dict[str, str]) -> Iterator[None]:
    """Flows called in this process use the test's server, even when Prefect was imported before it started."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_server["PREFECT_API_URL"]}):
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of one's own, and no other ``BATCH_JOBS_`` variable."""
    from batch_jobs.flows.settings import current_settings
    from batch_jobs.flows.workspace import current_workspace

    for name in [name for name in os.environ if name.startswith("BATCH_JOBS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BATCH_JOBS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    current_settings.cache_clear()
    current_workspace.cache_clear()
    yield tmp_path / "home"
    current_settings.cache_clear()
    current_workspace.cache_clear()
