"""Secret fields of a context: the run has them, nothing else shows them."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from pydantic import BaseModel, SecretBytes, SecretStr
from sqlalchemy import text

from batch_jobs.flows.errors import IdempotencyKeyTaken, SealBroken
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.runs.flow import build_flow
from batch_jobs.flows.secret_fields.contexts import opened, secret_places
from batch_jobs.flows.secret_fields.masking import SecretInError
from batch_jobs.flows.secret_fields.sealing import Seal, installation_secret
from batch_jobs.flows.workspace import Workspace, current_workspace
from support.artifacts import artifacts_of

STRATEGIES = Path(__file__).parent.parent / "support" / "api_strategies"
SECRETS = {"password": "hunter2-of-the-vault", "logins": [{"ftp": "another-secret-word"}]}


class Nested(BaseModel):
    inner: SecretBytes = SecretBytes(b"bytes")
    plain: str = "plain"


class Whole(BaseModel):
    several: list[SecretStr]
    by_name: dict[str, SecretStr]
    nested: Nested = Nested()
    absent: SecretStr | None = None


@pytest.fixture
def workspace(home: Path, prefect_here: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("BATCH_JOBS_STRATEGIES", str(STRATEGIES))
    yield current_workspace()


def everything_kept(workspace: Workspace) -> str:
    tables = ("batch_job", "batch_job_event", "batch_job_secret")
    with workspace.jobs.connect() as connection:
        return str([connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables])


def prefect_states(job: Job) -> str:
    with get_client(sync_client=True) as client:
        states = client.read_flow_run_states(UUID(job.flow_run_id))
    return str([(state.message, state.data) for state in states])


def run(workspace: Workspace, **context: Any) -> str:
    job = workspace.service.record("noting", {**SECRETS, **context})
    flow = build_flow(workspace.strategies.by_type["noting"])
    if context.get("fails"):
        with pytest.raises(SecretInError, match=r"ValueError: the password \*+ was not taken"):
            flow(context=job.context, job_id=job.id)
    else:
        flow(context=job.context, job_id=job.id)
    return job.id


def test_secrets_go_out_and_come_back_wherever_they_stand():
    context = Whole.model_validate({"several": ["one", "two"], "by_name": {"a": "three"}})

    places = secret_places(context)
    back = opened(context.model_dump(mode="json"), places)

    assert [secret for _, secret in places] == ["one", "two", "three", "bytes"]
    assert Whole.model_validate(back.values) == context


def test_the_run_has_the_secret_and_neither_row_nor_history_nor_log_nor_artifact_does(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.DEBUG):
        job_id = run(workspace)

    with workspace.target.connect() as connection:
        assert connection.scalar(text("SELECT password FROM notes")) == SECRETS["password"]
    job = workspace.service.get(job_id)
    assert job.status is Status.COMPLETED
    assert job.context["password"] == "**********"
    assert "noting with **********, which is **********" in caplog.text
    artifacts = str(artifacts_of(job))
    assert "**Password**: as **********" in artifacts.replace("\\", "")
    for place in (everything_kept(workspace), caplog.text, artifacts, job.model_dump_json()):
        assert "hunter2" not in place
        assert "another-secret" not in place
    assert [entry.message for entry in job.result.stat_descriptors] == ["as **********", "with **********"]


def test_a_failed_job_keeps_its_secrets_sealed_for_a_retry_and_none_is_in_what_is_reported_of_its_error(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.DEBUG):
        job_id = run(workspace, fails=True)

    job = workspace.service.get(job_id)
    assert job.status is Status.FAILED
    assert job.result.errors[0].message.startswith("the password ********** was not taken (for_the_api.py line ")
    assert job.result.errors[0].code == "ValueError"
    assert "it was ValueError('the password ********** was not taken')" in caplog.text
    for place in (everything_kept(workspace), caplog.text, prefect_states(job)):
        assert "was not taken" in place
        assert "hunter2" not in place
    assert workspace.context_secrets.open(job).values["password"] == SECRETS["password"]


def test_an_error_that_passes_is_judged_as_it_was_raised_and_reported_without_its_secret(workspace: Workspace):
    job_id = run(workspace, flickers=True)

    job = workspace.service.get(job_id)
    assert (job.status, job.attempt) == (Status.COMPLETED, 2)
    whys = [event.why or "" for event in workspace.service.events(job_id)]
    assert any(why.startswith("**********@shop does not answer (for_the_api.py line ") for why in whys)
    assert "hunter2" not in everything_kept(workspace)


@pytest.mark.parametrize("end", [Status.COMPLETED, Status.CANCELED])
def test_the_secrets_of_an_ended_job_are_forgotten(workspace: Workspace, end: Status):
    if end is Status.COMPLETED:
        job_id = run(workspace)
    else:
        job_id = workspace.service.record("noting", SECRETS).id
        workspace.service.cancel(job_id, who="test")

    assert workspace.service.get(job_id).status is end
    assert workspace.store.sealed(job_id) is None


def test_an_idempotency_key_with_another_secret_is_another_job(workspace: Workspace):
    first = workspace.service.record("noting", SECRETS, idempotency_key="k")

    assert workspace.service.record("noting", SECRETS, idempotency_key="k").id == first.id
    with pytest.raises(IdempotencyKeyTaken):
        workspace.service.record("noting", {**SECRETS, "password": "changed"}, idempotency_key="k")


def test_another_installations_secret_opens_nothing():
    sealed = Seal(b"mine").close(["x"])

    assert Seal(b"mine").open(sealed) == ["x"]
    with pytest.raises(SealBroken, match="BATCH_JOBS_SECRET_KEY"):
        Seal(b"yours").open(sealed)


def test_the_installations_secret_is_made_once_and_for_its_owner_only(tmp_path: Path):
    made = installation_secret("", tmp_path / "home")

    assert installation_secret("", tmp_path / "home") == made
    assert len(made) >= 32
    assert (tmp_path / "home" / "secret.key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["secret.key"]
    assert installation_secret("given", tmp_path / "home") == b"given"
