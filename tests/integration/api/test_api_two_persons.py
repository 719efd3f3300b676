"""The two-person rule at the API: a key cannot confirm what it has created."""

from collections.abc import Callable

from batch_jobs.flows.jobs.transitions import Status
from support.api_server import Served


def test_the_key_that_made_a_job_is_refused_and_an_admins_is_not(serve: Callable[..., Served], no_prefect: None):
    api = serve(confirm_by_other="true")
    job = api.job("alice", Status.PRE_PROCESSED)

    refused = api.by("alice").post(f"/admin/batch-jobs/{job.id}/confirm")
    assert (refused.status_code, refused.json()["type"]) == (403, "not_allowed")
    assert "anybody but alice may" in refused.json()["message"]
    assert api.by("bob").post(f"/admin/batch-jobs/{job.id}/confirm").status_code == 404
    assert api.workspace.service.get(job.id).status is Status.PRE_PROCESSED

    confirmed = api.by("root").post(f"/admin/batch-jobs/{job.id}/confirm")
    assert (confirmed.status_code, confirmed.json()["batch_job"]["status"]) == (200, "confirmed")
