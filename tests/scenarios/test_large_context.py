"""A context that Prefect's parameters have no room for: the run reads it from the job's row."""

from uuid import UUID

import pytest
from test_events import events_of

from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.prefect.client import SHOWN_CONTEXT_BYTES
from support.servers import wait_until
from support.serving import Served, prefect_client

pytestmark = pytest.mark.long


@pytest.mark.parametrize("size", [10, SHOWN_CONTEXT_BYTES + 1, 5_000_000])
def test_a_job_of_any_context_runs_and_prefect_shows_a_small_one(served: Served, size: int):
    job = served.create(key="é" * size, limit=2, dry_run=True)
    served.until_run(job, "PAUSED")
    served.workspace.service.start(served.workspace.service.confirm(job.id, who="test"))
    done = served.until_status(job, Status.COMPLETED, Status.FAILED)
    assert (done.status, served.tally(job), len(done.context["key"])) == (Status.COMPLETED, [1, 2], size)
    with prefect_client() as client:
        run = client.read_flow_run(UUID(done.flow_run_id))
    assert (run.parameters["context"], run.parameters["job_id"]) == (job.context if size == 10 else None, job.id)
    wait_until(lambda: _published(served, job.id)[-1:] == ["batch-job.completed"], what="the last event")


def _published(served: Served, job_id: str) -> list[str]:
    return [event["event"] for event in events_of(served, job_id)]
