"""The two-person rule where a run is resumed in Prefect, which does not know for sure who does it."""

from pathlib import Path
from uuid import UUID

import pytest

from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.serving import Served, prefect_client

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def ruled(tmp_path: Path, prefect_of_module: dict[str, str]):
    served = Served(tmp_path, f"sqlite:///{tmp_path}/jobs.db", f"sqlite:///{tmp_path}/target.db", prefect_of_module)
    served.settings["CONFIRM_BY_OTHER"] = "true"
    served.workspace = Workspace(Settings(**{name.lower(): value for name, value in served.settings.items()}))
    served.start()
    yield served
    served.close()


def test_resume_in_prefect_confirms_nothing_and_leaves_the_run_waiting_for_somebody_who_is_known(ruled: Served):
    job = ruled.workspace.service.create("gated", {}, created_by="alice")
    ruled.until_run(job, "PAUSED")
    for number, name in enumerate(["mara", "alice", "prefect-ui"], 1):
        run = UUID(ruled.until(job, lambda now: now.flow_run_state == "PAUSED", "the suspension").flow_run_id)
        with prefect_client() as client:
            before = client.read_flow_run(run).state.id
            client.resume_flow_run(run, run_input={"confirmed_by": name})

        def waits_again(_now: object, run: UUID = run, before: UUID = before) -> bool:
            with prefect_client() as client:
                state = client.read_flow_run(run).state
            return state.type == "PAUSED" and state.id != before

        ruled.until(job, waits_again, f"the {number}. suspension")
    waiting = ruled.get(job)
    assert (waiting.status, waiting.worker, ruled.tally(job)) == (Status.PRE_PROCESSED, None, [])

    ruled.workspace.service.start(ruled.workspace.service.confirm(job.id, "bob"))
    done = ruled.until_status(job, Status.COMPLETED)
    assert (ruled.tally(job), done.flow_run_id) == ([1, 2, 3, 4], waiting.flow_run_id)
    assert [entry for entry in ruled.history(job) if entry.startswith("confirm ")] == ["confirm by bob"]
