"""`prefect.yaml` deploys everything there is, and Prefect's own worker runs it; so does `batch-jobs worker`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.runs.flow import flow_variable
from batch_jobs.strategies.sdk.registry import load_strategies
from support.servers import free_port, prefect_server, wait_until
from support.serving import Served, prefect_client

ROOT = Path(__file__).parents[2]
PREFECT = [sys.executable, "-m", "prefect"]


def test_prefect_yaml_lists_every_strategy_of_the_project_with_its_description():
    listed = {
        entry["entrypoint"]: entry for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    }
    for strategy in load_strategies().by_type.values():
        entry = listed[f"flows/catalog.py:{flow_variable(strategy.batch_type)}"]
        assert (entry["description"], entry["name"]) == (strategy.description(), "batch-jobs")
    assert {"flows/scheduled.py:reconcile", "flows/scheduled.py:prune"} < set(listed)


@pytest.mark.long
def test_prefect_deploy_all_and_prefects_own_worker_run_jobs_and_ours_does_so_in_its_pool(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str
):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    folder = tmp_path_factory.mktemp("deployed")
    with prefect_server(folder, free_port()) as environment:
        served = Served(folder, postgres_url, postgres_url, environment)
        run = {"env": {**served.environment, "PYTHONPATH": str(ROOT)}, "cwd": ROOT, "timeout": 180, "check": True}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*PREFECT, "work-pool", "create", "--type", "process", "batch-jobs"], **run, **quiet)
        subprocess.run([*PREFECT, "--no-prompt", "deploy", "--all"], **run, **quiet)
        with temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}), prefect_client() as client:
            nightly = client.read_deployment_by_name("create-batch-job/nightly-export")
            assert "{{ scheduled_time.date() }}" in nightly.parameters["context"]["query"]
            assert not nightly.schedules[0].active
            schema = client.read_deployment_by_name("table-import/batch-jobs").parameter_openapi_schema
            assert {"context", "dry_run", "job_id"} <= set(schema["properties"])
            worker = subprocess.Popen([*PREFECT, "worker", "start", "--pool", "batch-jobs"], env=run["env"], **quiet)
            try:
                job = served.workspace.service.create("table-export", {"query": "SELECT 1 AS one"}, dry_run=True)
                served.until_run(job, "PAUSED")
                service = served.workspace.service
                service.start(service.confirm(job.id, who="test"))
                done = served.until_status(job, Status.COMPLETED)
                with served.workspace.files.open(done.result.file_key or "") as stream:
                    assert stream.read() == b"one\n1\n"
            finally:
                worker.kill()  # how Prefect's own worker ends is not ours; told to stop, it did not end once in a while
                worker.wait(timeout=60)
            ours = served.start("worker")
            served.until_status(served.create("gated", limit=2), Status.COMPLETED)
            assert "mismatch" not in served.said()
            assert served.stop(ours) == 0
        served.close()


@pytest.mark.long
@pytest.mark.parametrize("workspace_served", ["postgres"], indirect=True, scope="module")
def test_a_batch_jobs_worker_deploys_what_it_finds_and_leaves_its_runs_in_order(workspace_served: Served, gate: Path):
    served = workspace_served
    worker = served.start("worker")
    job = served.create("gated", gate=str(gate), inside=True, limit=300)
    running = served.at_gate(job, gate)
    worker.terminate()
    gate.touch()
    assert worker.wait(timeout=90) == 0
    left = served.get(job)
    assert (left.status, left.worker) == (Status.PROCESSING, None)
    wait_until(lambda: not os.path.exists(f"/proc/{running.worker_pid}"), what="the end of its process")
    served.start("worker")
    done = served.until_status(job, Status.COMPLETED)
    assert (served.tally(job), done.attempt) == (list(range(1, 301)), 1)
