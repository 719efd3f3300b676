"""Everybody can use the page: by keyboard, by screen reader, on any screen, in their language, without JavaScript."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.api_server import serving
from support.browsing import CHROMIUM, Browsing, browsing
from support.site import CHANGED, Site, Works

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; .ci/run installs it"),
]

Visit = Callable[..., Browsing]
#: name -> address of each view; a new one is a line here.
VIEWS: Mapping[str, str] = {
    "jobs": "/",
    "jobs-none": "/?status=canceled",
    "new": "/new",
    "new-file": "/new/table-import/file",
    "map": "/new/table-import/map?file_key={file}",
    "map-table": "/new/table-import/map?file_key={file}&table=prices",
    "new-job": "/new/table-import?file_key={file}",
    "waiting": "/jobs/{waiting}",
    "done": "/jobs/{done}",
    "failed": "/jobs/{failed}",
    "changes": "/jobs/{waiting}/changes",
    "rejects": "/jobs/{waiting}/rejects",
    "log": "/jobs/{done}/log",
    "partitions": "/jobs/{done}/partitions",
    "cancel": "/jobs/{waiting}/cancel",
    "history": "/history?table=prices&key=A-001",
    "schedules": "/schedules",
}
#: How the views are looked at; each in one window.
LOOKS: Mapping[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "360": {"viewport": {"width": 360, "height": 740}},
    "4k": {"viewport": {"width": 3840, "height": 2160}},
    "german": {"locale": "de-DE", "color_scheme": "dark"},
    "high-contrast": {"forced_colors": "active"},
    "zoomed": {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2},
}
#: Where colours and widths are others, and axe may find something else.
ASKED_OF_AXE = ("light", "dark", "360", "high-contrast")
LARGE_TEXT = "document.documentElement.style.fontSize = '200%'"
#: What a first view may weigh in all, with all that it loads.
MOST_BYTES = 150_000


def address_of(path: str, works: Works) -> str:
    file = works.waiting.context["file_key"]
    return path.format(waiting=works.waiting.id, done=works.done.id, failed=works.failed.id, file=file)


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_and_nobody_scrolls_sideways(visit: Visit, site: Site, works: Works, look: str):
    window = visit(None, **LOOKS[look])
    found = {}
    for name, path in {"sign-in": "/sign-in", **VIEWS}.items():
        if name == "jobs":
            window.sign_in(site.keys["mara"], "Anmelden" if look == "german" else "Sign in")
        window.go(address_of(path, works))
        wrong = window.found_by_axe() if look in ASKED_OF_AXE else []
        wrong += window.wider_than_it_shows()
        if wrong:
            found[name] = wrong
        window.keep(f"{name}-{look}")
    assert found == {}


def test_with_text_twice_as_large_nobody_scrolls_sideways(visit: Visit, works: Works):
    window, wide = visit(viewport={"width": 1280, "height": 800}), {}
    for name, path in VIEWS.items():
        window.go(address_of(path, works))
        window.page.evaluate(LARGE_TEXT)
        if found := window.wider_than_it_shows():
            wide[name] = found
    assert wide == {}


def test_a_job_is_found_looked_at_and_confirmed_with_the_keyboard_alone(visit: Visit, site: Site, works: Works):
    job = site.until_previewed(site.load(CHANGED, dry_run=True))
    window = visit(None)
    window.go("/sign-in")
    window.page.keyboard.type(site.keys["mara"])  # the field has the focus
    window.page.keyboard.press("Enter")
    window.page.wait_for_url(f"{site.address}/")

    window.page.keyboard.press("Tab")
    assert window.page.evaluate("document.activeElement.textContent") == "To the content"
    window.page.keyboard.press("Enter")
    assert window.page.evaluate("document.activeElement.id") == "main"
    window.tab_to("table-import")
    window.page.keyboard.press("Enter")
    window.page.wait_for_url(f"**/jobs/{job.id}")
    window.tab_to("Look at the changes, leave some out")
    window.page.keyboard.press("Enter")
    window.page.wait_for_url("**/changes")
    window.tab_to("Leave out A-005")
    window.page.keyboard.press("Space")
    window.tab_to("To the confirmation")
    window.page.keyboard.press("Enter")
    window.page.get_by_text("1 row that is ticked").wait_for()
    window.tab_to("Confirm")
    window.page.keyboard.press("Enter")
    ended = site.served.until_status(job, Status.COMPLETED)
    window.page.get_by_text("completed").first.wait_for()
    assert (ended.plan or {})["left_out"]["lines"] == 1


def test_the_core_way_works_without_javascript(visit: Visit, site: Site, tmp_path: Path):
    file = tmp_path / "goods.csv"
    file.write_text("code,price\nA-1,1.50\nA-2,cheap\n")
    window = visit(java_script_enabled=False)
    page = window.page

    page.get_by_role("link", name="New job").first.click()
    page.get_by_role("link", name="table-import").first.click()
    page.locator("input[name=files]").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("heading", name="What goes where").wait_for()
    page.get_by_label("Table").first.fill("goods")
    page.get_by_label("What price is called").fill("cost")
    page.get_by_role("button", name="Show the effect").click()
    page.get_by_role("columnheader", name="cost").wait_for()
    page.get_by_role("button", name="Look at what it will do").click()
    page.get_by_role("button", name="Confirm").wait_for()  # the page comes again by itself
    page.get_by_role("link", name="Changes", exact=True).click()
    page.get_by_text("A-1").first.wait_for()
    page.go_back()
    page.get_by_role("button", name="Confirm").click()
    page.locator(".status.completed").first.wait_for()
    job = site.served.get(site.served.workspace.service.list()[0])
    assert (job.status, job.created_by, job.result.created) == (Status.COMPLETED, "mara", 2)

    page.get_by_role("button", name="Deutsch").click()
    page.get_by_role("heading", name="Ergebnis").wait_for()
    page.get_by_role("button", name="Abmelden").click()
    page.get_by_label("Ihr Schlüssel").wait_for()


def test_a_running_job_is_watched_until_it_has_ended(visit: Visit, site: Site, gate: Any):
    job = site.create("gated", gate=str(gate), gate_at=3, limit=5)
    window = visit()
    site.served.at_gate(job, gate)
    window.go(f"/jobs/{job.id}")
    window.page.locator(".status.processing").wait_for()
    window.page.get_by_text("2 / 5").first.wait_for()
    window.keep("running")
    gate.touch()
    window.page.locator(".status.completed").wait_for()
    window.page.get_by_text("5 / 5").first.wait_for()


def test_the_page_is_german_for_who_asks_for_german(visit: Visit, works: Works):
    window = visit(button="Anmelden", locale="de-DE")
    assert window.page.locator("html").get_attribute("lang") == "de"
    window.page.get_by_role("heading", name="Aufträge").wait_for()
    window.go(f"/jobs/{works.waiting.id}")
    window.page.get_by_role("button", name="Bestätigen").wait_for()

    window.page.get_by_role("button", name="English").click()
    window.page.get_by_role("button", name="Confirm").wait_for()
    assert window.page.locator("html").get_attribute("lang") == "en"


def test_the_first_view_is_small(visit: Visit, works: Works, site: Site):
    window = visit(None)
    session = window.context.new_cdp_session(window.page)
    session.send("Network.enable")
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))

    window.sign_in(site.keys["mara"])
    window.page.wait_for_load_state("networkidle")

    assert 0 < sum(sizes) <= MOST_BYTES, sizes


def test_someone_who_only_looks_is_offered_nothing_else(visit: Visit, works: Works):
    window = visit("vera")
    assert window.page.get_by_role("link", name="New job").count() == 0
    window.go(f"/jobs/{works.waiting.id}")
    assert window.page.get_by_role("button", name="Confirm").count() == 0
    window.page.get_by_text("table-import").first.wait_for()


def test_a_link_on_another_site_leads_to_the_job_for_who_is_signed_in(visit: Visit, works: Works, site: Site):
    """The cookie does not come with it; the page itself asks once more."""
    window = visit()
    window.page.goto(f"data:text/html,<a href='{site.address}/jobs/{works.done.id}'>a job</a>")
    window.page.get_by_role("link", name="a job").click()

    window.page.wait_for_url(f"**/jobs/{works.done.id}")
    window.page.get_by_role("heading", name="table-import").wait_for()


def test_a_link_on_another_site_leads_the_owner_of_the_machine_in(browser: Any, tmp_path: Path):
    settings = Settings(home=tmp_path / "home", strategies=str(tmp_path), api_port=0)
    with serving(Workspace(settings)) as url, browsing(browser, url) as window:
        window.page.goto(f"data:text/html,<a href='{url}/'>jobs</a>")
        window.page.get_by_role("link", name="jobs").click()

        window.page.get_by_role("heading", name="Jobs", exact=True).wait_for()
        window.page.wait_for_url(f"{url}/", wait_until="load")
        assert window.found_by_axe() == []
        window.page.get_by_text("No key is set").wait_for()
