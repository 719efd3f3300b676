"""The job table on both databases."""

import pytest
from sqlalchemy import Engine

from flows.database import upgrade
from flows.job_store import JobStore


@pytest.fixture
def store(target: Engine) -> JobStore:
    """An empty job table, on SQLite and on PostgreSQL."""
    upgrade(target)
    return JobStore(target)
