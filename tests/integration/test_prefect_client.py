"""Asking Prefect about runs."""

import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from batch_jobs.flows.database import upgrade
from batch_jobs.flows.errors import DeploymentLacking, PrefectAway
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.prefect.address import KnownPrefect
from batch_jobs.flows.prefect.client import DEPLOYMENT_NAME, PrefectRuns
from batch_jobs.strategies.sdk.database import make_engine
from support.jobs import job_in


@pytest.fixture
def unnamed(monkeypatch: pytest.MonkeyPatch):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield


def test_the_prefect_that_is_served_by_now_is_asked_and_no_variable_is_set(
    unnamed: None, prefect_server: dict[str, str]
):
    addresses = ["http://127.0.0.1:9/api", prefect_server["PREFECT_API_URL"]]
    served = iter(KnownPrefect(address, "a test") for address in addresses)
    runs = PrefectRuns(lambda: next(served))

    with pytest.raises(PrefectAway, match="does not answer"):
        runs.state(str(uuid4()))
    assert runs.state(str(uuid4())) is None
    assert "PREFECT_API_URL" not in os.environ


def test_without_an_address_nothing_is_started(unnamed: None):
    with pytest.raises(PrefectAway, match="no Prefect is named"):
        PrefectRuns().state(str(uuid4()))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    engine = make_engine(f"sqlite:///{tmp_path}/jobs.db")
    upgrade(engine)
    yield job_in(JobStore(engine), Status.CREATED)
    engine.dispose()


def test_a_job_is_started_by_the_deployment_that_its_type_has_by_now(job: Job, prefect_here: None):
    from prefect.client.orchestration import get_client

    runs = PrefectRuns()
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name(job.type)
        first = client.create_deployment(flow_id, DEPLOYMENT_NAME)
        assert client.read_flow_run(UUID(runs.launch(job))).deployment_id == first
        client.delete_deployment(first)
        with pytest.raises(DeploymentLacking):
            runs.launch(job)
        second = client.create_deployment(flow_id, DEPLOYMENT_NAME)
        again = job.model_copy(update={"version": job.version + 1})
        assert client.read_flow_run(UUID(runs.launch(again))).deployment_id == second
        client.delete_deployment(second)
