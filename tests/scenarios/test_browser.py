"""The Prefect UI as a person uses it, in headless Chromium: log-in, form, plan, Resume, progress, result, Cancel.

With ``BATCH_JOBS_SCREENSHOTS`` set to a folder the pages are kept there; ``docs`` shows them.
"""

import os
from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.prefect.address import auth_file
from support.browsing import CHROMIUM, FOREIGN
from support.serving import Served, serving_with_own_prefect

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; .ci/run installs it"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, postgres_of_module: str) -> Iterator[Served]:
    """A ``serve`` with the Prefect that it starts itself."""
    folder = tmp_path_factory.mktemp("served")
    with serving_with_own_prefect(folder, postgres_of_module, postgres_of_module) as one:
        yield one


@pytest.fixture(scope="module")
def page(browser: Any, served: Served) -> Any:
    """A page of somebody who has logged in."""
    shown = new_page(browser)
    log_in(shown, ui(served), auth_file(Path(served.settings["HOME"])).read_text())
    shown.wait_for_url("**/dashboard**")
    return shown


def new_page(browser: Any) -> Any:
    """A page of somebody who was never here."""
    shown = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
    shown.set_default_timeout(30_000)
    return shown


def ui(served: Served) -> str:
    return served.own_prefect.api_url.removesuffix("/api")


def log_in(page: Any, address: str, password: str) -> None:
    page.goto(address)
    page.locator("input[type=password]").fill(password)
    page.get_by_role("button", name="Login").click()


def keep(page: Any, name: str) -> None:
    """Keep a picture of the page when somebody wants one."""
    folder = os.environ.get("BATCH_JOBS_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


def open_run(page: Any, served: Served, job: Job, tab: str = "Logs") -> None:
    page.goto(f"{ui(served)}/runs/flow-run/{served.get(job).flow_run_id}")
    page.get_by_text(tab, exact=True).first.click()


def open_form(page: Any, served: Served, batch_type: str) -> None:
    from support.serving import prefect_client

    with prefect_client() as client:
        deployment = client.read_deployment_by_name(f"{batch_type}/batch-jobs")
    page.goto(f"{ui(served)}/deployments/deployment/{deployment.id}/run")
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


#: What a page of somebody else's may try: to read, to change with and without a preflight, to listen.
FOREIGN_TRIES = """
async ([api, authorization]) => {
  const known = {authorization, 'content-type': 'application/json'};
  const flow = name => ({method: 'POST', body: JSON.stringify({name})});
  const tries = {
    read: () => fetch(`${api}/admin/version`),
    'read, knowing': () => fetch(`${api}/admin/version`, {headers: known}),
    change: () => fetch(`${api}/flows/`, {...flow('foreign-1'), headers: {'content-type': 'application/json'}}),
    'change, knowing': () => fetch(`${api}/flows/`, {...flow('foreign-2'), headers: known}),
    'change unseen': () => fetch(`${api}/flows/`, {...flow('foreign-3'), mode: 'no-cors'}).then(() => { throw 0; }),
    listen: () => new Promise((open, closed) => {
      const stream = new WebSocket(`${api.replace('http', 'ws')}/events/out`, ['prefect']);
      stream.onopen = open;
      stream.onclose = closed;
    }),
  };
  const done = [];
  for (const [name, attempt] of Object.entries(tries)) await attempt().then(() => done.push(name), () => null);
  return done;
}
"""


@pytest.fixture
def foreign_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """A page of another origin."""
    (tmp_path / "index.html").write_text("<h1>offers</h1>")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        page = new_page(browser)
        page.goto(f"http://{FOREIGN}:{server.server_port}/")
        yield page
        page.context.close()
        server.shutdown()


def test_a_page_of_another_origin_can_do_nothing(served: Served, foreign_page: Any):
    from support.serving import prefect_client

    known = served.own_prefect
    password = b64encode((known.auth_string or "").encode()).decode()
    assert foreign_page.evaluate(FOREIGN_TRIES, [known.api_url, f"Basic {password}"]) == []
    with prefect_client() as client:
        assert not [flow for flow in client.read_flows() if flow.name.startswith("foreign")]

    framing = "ui => document.body.append(Object.assign(document.createElement('iframe'), {src: ui}))"
    with foreign_page.expect_console_message(lambda message: "X-Frame-Options" in message.text):
        foreign_page.evaluate(framing, ui(served))


def test_a_page_whose_name_leads_here_by_now_can_do_nothing(served: Served, browser: Any):
    """DNS rebinding: for the browser it is of one origin with what it calls."""
    page, port = new_page(browser), urlsplit(ui(served)).port
    page.goto(f"http://{FOREIGN}:{port}/")
    assert page.locator("body").inner_text() == "Invalid host header"
    assert page.evaluate("fetch('/api/health').then(answer => answer.status)") == 400
    page.context.close()


def test_the_ui_asks_for_the_password_and_is_had_by_its_other_name_too(served: Served, browser: Any):
    page = new_page(browser)
    other = ui(served).replace("127.0.0.1", "localhost")
    log_in(page, other, "batch-jobs:guessed")
    page.get_by_text("Invalid credentials").first.wait_for()
    log_in(page, other, auth_file(Path(served.settings["HOME"])).read_text())
    page.get_by_role("link", name="Deployments").first.click()
    page.get_by_text("price-list-import").first.wait_for()
    page.context.close()


def _when(served: Served, condition: Any) -> list[Job]:
    from support.servers import wait_until

    wait_until(lambda: condition(served.workspace.service.list()), what="the job")
    return list(served.workspace.service.list())
