"""What a task runner needs that is not of this process, and says before a job begins."""

from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from batch_jobs.flows.errors import RunnerIncomplete
from batch_jobs.flows.runs.partitions import runners
from batch_jobs.flows.runs.partitions.runners import require_runner
from batch_jobs.flows.settings import Settings
from batch_jobs.strategies.sdk.errors import PermanentError

POSTGRES = "postgresql://u@db.example.com/jobs"


def settings(tmp_path: Path, **given: Any) -> Settings:
    return Settings(home=tmp_path, **given)


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_a_cluster_is_refused_with_all_that_is_missing_for_it(kind: str, tmp_path: Path):
    given = settings(tmp_path, task_runner=f"{kind}://10.0.0.1:8786")
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(RunnerIncomplete) as refused:
        require_runner(given)
    said = str(refused.value)
    assert "\n" not in said
    assert not isinstance(refused.value, PermanentError)  # once the settings are mended, a retry does it
    for missing in (
        f"{kind}://10.0.0.1:8786",
        "PREFECT_API_URL",
        "BATCH_JOBS_SECRET_KEY",
        "BATCH_JOBS_DATABASE_URL",
        "BATCH_JOBS_TARGET_URL",
        "BATCH_JOBS_FILES_URL",
    ):
        assert missing in said
    assert (f"prefect-batch-jobs[{kind}]" in said) == (runners.find_spec(f"prefect_{kind}") is None)


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_a_cluster_that_has_all_it_needs_is_taken(kind: str, tmp_path: Path):
    pytest.importorskip(f"prefect_{kind}", reason=f"the extra {kind} is not installed")
    given = settings(
        tmp_path,
        task_runner=f"{kind}://10.0.0.1:8786",
        database_url=POSTGRES,
        secret_key="x" * 40,
        files_url="file:///mnt/jobs",
    )
    with temporary_settings({PREFECT_API_URL: "http://10.0.0.1:4200/api"}):
        require_runner(given)


def test_processes_and_threads_need_nothing(tmp_path: Path):
    with temporary_settings({PREFECT_API_URL: None}):
        for kind in ("processes", "threads"):
            require_runner(settings(tmp_path, task_runner=kind))
