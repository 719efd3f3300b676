"""Fixtures for pytest: a target, a file store, and what runs strategies on both."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from batch_jobs.strategies.testing.files import Files
    from batch_jobs.strategies.testing.runs import Runner

#: The URL of a PostgreSQL server on which tests run too, as a role that may create databases.
POSTGRESQL = os.environ.get("BATCH_JOBS_TEST_POSTGRESQL", "")


@pytest.fixture(params=["sqlite", "postgresql"] if POSTGRESQL else None)
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Engine]":
    """A fresh database: on SQLite, and on the PostgreSQL that BATCH_JOBS_TEST_POSTGRESQL names, if it does."""
    from batch_jobs.strategies.testing.targets import postgresql_target, sqlite_target

    is_postgresql = getattr(request, "param", "sqlite") == "postgresql"
    with postgresql_target(POSTGRESQL) if is_postgresql else sqlite_target(tmp_path_factory.mktemp("target")) as engine:
        yield engine


@pytest.fixture
def files(tmp_path_factory: pytest.TempPathFactory) -> "Files":
    """An empty file store; ``files.add(name, content)`` puts a file into it."""
    from batch_jobs.strategies.testing.files import Files

    return Files(str(tmp_path_factory.mktemp("files")))


@pytest.fixture
def run(target: "Engine", files: "Files") -> "Runner":
    """Runs a strategy on the target, with the file store."""
    from batch_jobs.strategies.testing.runs import Runner

    return Runner(target, files)
