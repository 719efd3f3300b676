"""Asking Prefect about runs."""

import os
from uuid import uuid4

import pytest

from batch_jobs.flows.errors import PrefectAway
from batch_jobs.flows.prefect.client import PrefectRuns


@pytest.fixture
def unnamed(monkeypatch: pytest.MonkeyPatch):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield


def test_the_prefect_that_is_served_by_now_is_asked_and_no_variable_is_set(
    unnamed: None, prefect_server: dict[str, str]
):
    served = iter(["http://127.0.0.1:9/api", prefect_server["PREFECT_API_URL"]])
    runs = PrefectRuns(lambda: next(served))

    with pytest.raises(PrefectAway, match="does not answer"):
        runs.state(str(uuid4()))
    assert runs.state(str(uuid4())) is None
    assert "PREFECT_API_URL" not in os.environ


def test_without_an_address_nothing_is_started(unnamed: None):
    with pytest.raises(PrefectAway, match="no Prefect is named"):
        PrefectRuns().state(str(uuid4()))
