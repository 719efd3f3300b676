"""The Prefect UI as a person uses it, in headless Chromium: form, plan, Resume, progress, result, Cancel.

With ``BATCH_JOBS_SCREENSHOTS`` set to a folder the pages are kept there; ``docs`` shows them.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from support.serving import Served

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; .ci/run installs it"),
    pytest.mark.parametrize("workspace_served", ["postgres"], indirect=True, scope="module"),
]


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; .ci/run installs it")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        shown = browser.new_page(viewport={"width": 1400, "height": 1000})
        shown.set_default_timeout(30_000)
        yield shown
        browser.close()


def keep(page: Any, name: str) -> None:
    """Keep a picture of the page when somebody wants one."""
    folder = os.environ.get("BATCH_JOBS_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


def open_run(page: Any, served: Served, job: Job, tab: str = "Logs") -> None:
    ui = served.prefect["PREFECT_API_URL"].removesuffix("/api")
    page.goto(f"{ui}/runs/flow-run/{served.get(job).flow_run_id}")
    page.get_by_text(tab, exact=True).first.click()


def open_form(page: Any, served: Served, batch_type: str) -> None:
    from support.serving import prefect_client

    with prefect_client() as client:
        deployment = client.read_deployment_by_name(f"{batch_type}/batch-jobs")
    page.goto(f"{served.prefect['PREFECT_API_URL'].removesuffix('/api')}/deployments/deployment/{deployment.id}/run")
    page.get_by_text("Run Name").wait_for()


def test_a_job_is_started_from_its_form_previewed_resumed_and_watched_to_its_result(served: Served, page: Any):
    with (ROOT / "examples" / "airports.csv").open("rb") as stream:
        key = served.workspace.files.put(stream, "airports.csv")
    open_form(page, served, "table-import")
    page.get_by_text("Key of the file in the file store").wait_for()
    fields = page.locator("textarea")
    fields.nth(0).fill(key)
    fields.nth(1).fill("airports")
    page.locator("label:has(input[type=checkbox])").last.click()
    keep(page, "prefect-form")
    page.get_by_role("button", name="Submit").click()

    (job,) = _when(served, lambda jobs: len(jobs) == 1)
    served.until_run(job, "PAUSED")
    assert (served.get(job).trigger, served.get(job).context["table"]) == ("prefect-ui", "airports")
    open_run(page, served, job, "Artifacts")
    page.get_by_text("What this job will do").first.click()
    page.get_by_text("500 rows will be created in airports").wait_for()
    keep(page, "prefect-plan")

    open_run(page, served, job)
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("Confirmed By").wait_for()
    page.get_by_role("dialog").locator("textarea").fill("mara")
    keep(page, "prefect-resume")
    page.get_by_role("dialog").get_by_role("button", name="Submit").click()
    done = served.until_status(job, Status.COMPLETED)
    assert (done.result.created, "confirm by mara" in served.history(job)) == (500, True)

    open_run(page, served, job, "Task Runs")
    page.get_by_text("post-process").first.wait_for()
    page.get_by_text("Completed").first.wait_for()
    keep(page, "prefect-ui")
    open_run(page, served, job, "Artifacts")
    page.get_by_text("Rows gone through").first.wait_for()
    page.get_by_text("What this job did").first.wait_for()


def test_a_running_job_shows_its_progress_and_is_canceled_by_the_button(served: Served, page: Any, gate: Path):
    job = served.create(gate=str(gate), gate_at=3)
    served.at_gate(job, gate)
    open_run(page, served, job, "Artifacts")
    page.get_by_text("Rows gone through").first.wait_for()
    keep(page, "prefect-progress")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Confirm").click()
    served.until_status(job, Status.CANCELED)
    gate.touch()
    served.until_run(job, "CANCELLED")
    assert served.tally(job) == [1, 2, 3]
    open_run(page, served, job)
    page.get_by_text("Cancelled").first.wait_for()


def _when(served: Served, condition: Any) -> list[Job]:
    from support.servers import wait_until

    wait_until(lambda: condition(served.workspace.service.list()), what="the job")
    return list(served.workspace.service.list())
