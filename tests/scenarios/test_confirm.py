"""A previewed job waits without a worker, and goes on once, whoever says yes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from batch_jobs.flows.errors import ActionIllegal, ConfirmedTooLate
from batch_jobs.flows.jobs.claims import Claims
from batch_jobs.flows.jobs.service import BatchJobService
from batch_jobs.flows.jobs.transitions import Status
from support.serving import Served, prefect_client

pytestmark = pytest.mark.slow
#: What happens between a run and Prefect, or by one statement on the row, is the same on both databases.
on_one_database = pytest.mark.parametrize("workspace_served", ["postgres"], indirect=True, scope="module")


def suspended(served: Served):
    job = served.create(dry_run=True)
    served.until_run(job, "PAUSED")
    waiting = served.until(job, lambda now: now.flow_run_state == "PAUSED", "the note of the suspension")
    assert (waiting.status, waiting.worker, served.tally(job)) == (Status.PRE_PROCESSED, None, [])
    assert waiting.result.stat_descriptors[0].message == "4 rows will be written"
    return waiting


@pytest.mark.long
def test_a_previewed_job_waits_suspended_and_of_many_that_confirm_at_once_one_lets_the_same_run_go_on(served: Served):
    job = suspended(served)

    def confirm(number: int) -> bool:
        try:
            served.workspace.service.confirm(job.id, who=f"person {number}")
        except ActionIllegal:
            return False
        return True

    with ThreadPoolExecutor(8) as people:
        said_yes = list(people.map(confirm, range(8)))
    assert said_yes.count(True) == 1
    served.workspace.service.start(served.get(job))
    done = served.until_status(job, Status.COMPLETED)
    assert (served.tally(job), done.flow_run_id, done.attempt) == ([1, 2, 3, 4], job.flow_run_id, 1)


@on_one_database
def test_resume_in_prefect_is_the_same_as_confirm(served: Served):
    job = suspended(served)
    with prefect_client() as client:
        client.resume_flow_run(UUID(job.flow_run_id), run_input={"confirmed_by": "mara"})
    done = served.until_status(job, Status.COMPLETED)
    assert (served.tally(job), done.confirmed_at is not None) == ([1, 2, 3, 4], True)
    assert "confirm by mara" in served.history(job)


@on_one_database
def test_a_job_that_nobody_confirmed_in_time_is_canceled_and_says_so(served: Served):
    job = suspended(served)
    workspace = served.workspace
    claims = Claims(workspace.store, workspace.prefect, confirm_timeout=timedelta(seconds=0))
    parts = (workspace.store, lambda: workspace.strategies, workspace.prefect)
    hasty = BatchJobService(*parts, claims, workspace.context_secrets, workspace.access)
    assert datetime.now(UTC) > (job.pre_processed_at or datetime.max.replace(tzinfo=UTC))
    with pytest.raises(ConfirmedTooLate, match=f"{job.id} is canceled: it was not confirmed within 0:00:00"):
        hasty.confirm(job.id, who="late")
    assert served.get(job).status is Status.CANCELED
    with pytest.raises(ConfirmedTooLate):
        workspace.service.confirm(job.id, who="later")
    served.until_run(job, "CANCELLED")
    assert served.tally(job) == []


@on_one_database
def test_a_file_that_changed_since_its_preview_is_not_loaded(served: Served, tmp_path: Path):
    files, service = served.workspace.files, served.workspace.service
    (tmp_path / "goods.csv").write_text("id,name\n1,mug\n")
    with (tmp_path / "goods.csv").open("rb") as stream:
        key = files.put(stream, "goods.csv")
    job = service.create("table-import", {"file_key": key, "table": "goods", "key": ["id"]}, dry_run=True)
    served.until_run(job, "PAUSED")
    with files.writing(key) as stream:
        stream.write(b"id,name\n1,plate\n")
    service.start(service.confirm(job.id, who="test"))
    failed = served.until_status(job, Status.FAILED)
    assert "has changed since the preview" in failed.result.errors[-1].message
    assert not served.workspace.target.dialect.has_table(served.workspace.target.connect(), "goods")
