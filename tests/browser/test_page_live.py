"""A job in an open page: it follows by itself, quietly, and goes on after the server was away."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.api_server import STRATEGIES, serving
from support.browsing import CHROMIUM
from support.jobs import way_to
from support.servers import free_port, wait_until

HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  Object.defineProperty(document, "visibilityState", { value: hidden ? "hidden" : "visible", configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
#: Stands in for the browser's notifications, which a window without a screen does not show.
NOTICES = """window.notices = []; window.asked = 0;
window.Notification = class extends EventTarget {
  static permission = "default";
  static async requestPermission() { window.asked += 1; return (this.permission = "granted"); }
  constructor(title, options) { super(); window.notices.push(`${title}: ${options.body}`); }
};"""
#: What the browser and htmx say of a server that is away.
AWAY = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE", "Failed to fetch", "network error")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; .ci/run installs it"),
]


@pytest.fixture
def workspace(home: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(home / "no-profiles.toml"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return Workspace(Settings(home=home, strategies=str(STRATEGIES), api_port=free_port()))


@pytest.fixture
def server(workspace: Workspace) -> Iterator[ExitStack]:
    """The API, to be closed and begun anew at the same address."""
    with ExitStack() as running:
        running.enter_context(serving(workspace))
        yield running


@pytest.fixture
def visit(workspace: Workspace, server: ExitStack, browser: Any) -> Iterator[Callable[[str], Any]]:
    """Opens pages of somebody who has signed in; an error that they say is one of the test."""
    _, key = workspace.api_keys.create("alice", Role.OPERATOR)
    base = f"http://127.0.0.1:{workspace.settings.api_port}"
    said: list[str] = []
    context = browser.new_context(viewport={"width": 360, "height": 500})
    context.add_init_script(NOTICES)

    def opened(path: str) -> Any:
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: message.type == "error" and said.append(message.text))
        page.goto(base + path)
        return page

    signing = opened("/sign-in")
    signing.get_by_label("Your key").fill(key)
    signing.get_by_role("button", name="Sign in").click()
    signing.wait_for_url(f"{base}/")
    signing.close()
    yield opened
    context.close()
    assert [text for text in said if not any(sign in text for sign in AWAY)] == []


def running_job(workspace: Workspace) -> Job:
    job = workspace.service.record("noting", {}, created_by="alice", trigger=Trigger.API, dry_run=True)
    for action in way_to(Status.PROCESSING):
        job = workspace.store.move(job, action, who="test")
    return workspace.store.claim(job, ProcessIdentity.current(), None)


def advance(workspace: Workspace, job: Job, rows: int) -> None:
    result = job.result.model_copy(update={"count": 9000, "advancement_count": rows, "progress": rows / 9000})
    assert workspace.store.save_result(job.id, job.claim or 0, result, {"counts": {"create": 9000}})


def until(page: Any, is_so: Callable[[], bool]) -> None:
    """Wait in the browser, whose events come meanwhile; its policy forbids to wait by a script from outside."""
    for _ in range(300):
        if is_so():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not come to be so")


def test_it_follows_in_two_tabs_keeps_focus_and_place_and_says_changes_of_state_only(
    workspace: Workspace, visit: Callable[[str], Any]
):
    job = running_job(workspace)
    two, one = visit(f"/jobs/{job.id}"), visit(f"/jobs/{job.id}")  # the last one has the browser's focus
    one.locator("#stream").wait_for(state="attached")
    one.get_by_role("button", name="Pause").focus()
    one.evaluate("scrollBy(0, 60)")
    place = one.evaluate("scrollY")
    for rows in (1000, 2000):
        advance(workspace, job, rows)
        one.get_by_text(f"{rows:,} / 9,000 rows").wait_for()
        two.get_by_text(f"{rows:,} / 9,000 rows").wait_for()
    one.get_by_text("rows/s").wait_for()

    assert one.evaluate("document.activeElement.textContent") == "Pause"
    assert one.evaluate("scrollY") == place
    assert one.locator("#announce").text_content() == ""
    two.get_by_role("button", name="Pause").click()
    one.get_by_role("button", name="Go on").wait_for()
    one.locator("#stream").wait_for(state="detached")
    assert one.locator("#announce").text_content() == "paused"
    two.get_by_role("button", name="Go on").click()
    one.locator("#stream").wait_for(state="attached")  # this tab had no stream, and looked
    two.get_by_role("link", name="Cancel").click()
    two.get_by_role("dialog").get_by_role("button", name="Yes, cancel it").click()
    one.locator(".status.canceled").wait_for()
    assert one.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_tab_that_nobody_sees_holds_no_stream_and_notifies_where_that_was_allowed(
    workspace: Workspace, visit: Callable[[str], Any]
):
    job = running_job(workspace)
    page = visit(f"/jobs/{job.id}")
    ended: list[str] = []
    page.on("requestfinished", lambda request: ended.append(request.url))
    page.on("requestfailed", lambda request: ended.append(request.url))
    advance(workspace, job, 1000)
    page.get_by_text("1,000 / 9,000 rows").wait_for()
    assert page.evaluate("asked") == 0
    page.get_by_role("button", name="Notify me").click()
    assert page.evaluate("asked") == 1

    page.evaluate(HIDE, True)
    until(page, lambda: any(url.endswith("/live") for url in ended))
    workspace.store.move(workspace.service.get(job.id), Action.COMPLETE, who="test")
    until(page, lambda: page.evaluate("notices") == ["noting: completed"])
    page.evaluate(HIDE, False)
    page.locator(".status.completed").wait_for()


def test_a_server_that_is_away_is_said_and_the_page_goes_on_when_it_is_back(
    workspace: Workspace, server: ExitStack, visit: Callable[[str], Any]
):
    job = running_job(workspace)
    page = visit(f"/jobs/{job.id}")
    advance(workspace, job, 1000)
    page.get_by_text("1,000 / 9,000 rows").wait_for()

    server.close()
    page.get_by_text("The server does not answer").wait_for()
    advance(workspace, job, 2000)
    server.enter_context(serving(workspace))
    page.get_by_text("2,000 / 9,000 rows").wait_for()
    page.get_by_text("The server does not answer").wait_for(state="hidden")


def test_no_row_of_the_list_moves_while_somebody_points_at_one(workspace: Workspace, visit: Callable[[str], Any]):
    first = running_job(workspace)
    page = visit("/")
    page.locator(f"#{first.id} a").focus()
    newer = running_job(workspace)

    page.get_by_role("link", name="1 new job").wait_for()
    assert page.locator(f"#{newer.id}").count() == 0
    page.evaluate("document.activeElement.blur()")
    page.locator(f"#{newer.id}").wait_for()
    wait_until(lambda: page.get_by_role("link", name="1 new job").count() == 0, what="the list as it is")
