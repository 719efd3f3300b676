"""Starting recorded jobs without blocking who created them."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from batch_jobs.deployments.api import job_starter
from batch_jobs.deployments.errors import PrefectUnreachable
from batch_jobs.flows.errors import DeploymentLacking


def test_what_keeps_a_job_waiting_is_logged_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    job = SimpleNamespace(id="batch_1", type="new")

    def refuse(job: Any) -> NoReturn:
        raise DeploymentLacking(job)

    service: Any = SimpleNamespace(waiting=lambda: [job], start=refuse)
    starter = job_starter.JobStarter(service, home)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    away = [PrefectUnreachable("nowhere", "a test", "refused")]

    def use(_known: object) -> None:
        if away:
            raise away[0]

    monkeypatch.setattr(job_starter, "check_answers", use)
    for _ in range(3):
        starter._start_waiting()
    away.clear()
    for _ in range(3):
        starter._start_waiting()
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.partition(":")[0] for line in warned] == ["jobs wait", "not started"]
