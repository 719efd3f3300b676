"""The job table on both databases."""

import pytest
from sqlalchemy import Engine

from batch_jobs.flows.database import upgrade
from batch_jobs.flows.jobs.store import JobStore


@pytest.fixture
def store(target: Engine) -> JobStore:
    """An empty job table, on SQLite and on PostgreSQL."""
    upgrade(target)
    return JobStore(target)
