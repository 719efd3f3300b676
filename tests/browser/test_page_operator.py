"""Who runs jobs by the page: starts, pauses, goes on, cancels, tries again, puts off; and who may only look."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from support.browsing import CHROMIUM, Browsing
from support.site import PRICES, Site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; .ci/run installs it"),
]

Visit = Callable[..., Browsing]
BUTTONS = ("Pause", "Cancel", "Confirm", "Go on", "Try again", "Undo")


def press(window: Browsing, button: str) -> None:
    window.page.get_by_role("button", name=button, exact=True).click()


def wait_for(window: Browsing, status: str) -> None:
    window.page.locator(f"#now .status.{status}").wait_for()


def newest(site: Site) -> Job:
    return site.served.get(site.served.workspace.service.list()[0])


def start(window: Browsing, **fields: Any) -> None:
    """Fill in the form of a gated job as a person does, and send it."""
    page = window.page
    page.get_by_role("link", name="New job").first.click()
    page.get_by_role("link", name="gated", exact=True).click()
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " ").capitalize(), exact=True).fill(str(value))


def test_a_long_job_is_started_paused_and_goes_on_to_its_end(visit: Visit, site: Site, gate: Path):
    window, listed = visit(), visit()
    start(window, limit=5, gate=gate, gate_at=3)
    window.page.get_by_label("At once", exact=True).check()
    press(window, "Create the job")
    wait_for(window, "processing")
    job = site.served.at_gate(newest(site), gate)
    row = listed.page.locator(f"tr[id='{job.id}']")
    row.locator(".status.processing").wait_for()  # the list was open before there was such a job

    press(window, "Pause")
    wait_for(window, "paused")
    row.locator(".status.paused").wait_for()
    gate.touch()
    site.served.until_run(job, "PAUSED", "COMPLETED", "SCHEDULED", "CANCELLED")
    press(window, "Go on")
    wait_for(window, "completed")
    row.locator(".status.completed").wait_for()

    assert site.served.tally(job) == [1, 2, 3, 4, 5]
    actions = [event.action for event in site.served.workspace.service.events(job.id)]
    assert actions.count("pause") == actions.count("resume") == 1


def test_a_running_job_is_canceled_after_a_question(visit: Visit, site: Site, gate: Path):
    job = site.served.at_gate(site.create("gated", gate=str(gate), gate_at=2, limit=3), gate)
    window = visit()
    window.go(f"/jobs/{job.id}")
    wait_for(window, "processing")
    window.page.get_by_role("button", name="Cancel").or_(window.page.get_by_role("link", name="Cancel")).click()
    dialog = window.page.get_by_role("dialog", name="Cancel this job?")
    dialog.get_by_role("button", name="No, let it be").click()
    dialog.wait_for(state="hidden")
    assert site.served.get(job).status is Status.PROCESSING

    window.page.get_by_role("button", name="Cancel").or_(window.page.get_by_role("link", name="Cancel")).click()
    dialog.get_by_role("button", name="Yes, cancel it").click()
    wait_for(window, "canceled")
    gate.touch()
    assert site.served.get(job).status is Status.CANCELED


def test_a_failed_job_is_tried_again_when_the_cause_is_gone(visit: Visit, site: Site):
    job = site.served.until_status(site.load(PRICES, table="opened_late", mode="update"), Status.FAILED)
    window = visit()
    window.go(f"/jobs/{job.id}")
    window.page.get_by_text("opened_late").first.wait_for()
    with site.served.workspace.target.begin() as connection:
        connection.execute(text("CREATE TABLE opened_late (code TEXT PRIMARY KEY, name TEXT, price NUMERIC)"))
        connection.execute(text("INSERT INTO opened_late (code) VALUES ('A-001')"))

    press(window, "Try again")
    wait_for(window, "completed")
    assert site.served.get(job).result.updated == 1


def test_a_job_for_later_waits_for_its_time(visit: Visit, site: Site):
    window = visit(timezone_id="Europe/Vienna")
    day = (datetime.now() + timedelta(days=2)).date()
    start(window, limit=1)
    window.page.get_by_text("When, and in how many parts").click()
    window.page.get_by_label("Start at").fill(f"{day}T06:30")
    press(window, "Create the job")

    wait_for(window, "created")
    window.page.locator("#now time", has_text="6:30").first.wait_for()  # once the page shows the reader's own zone
    assert str(day.year) in window.page.locator("#now time").first.inner_text()
    job = newest(site)
    assert job.start_at is not None
    assert (job.status, job.start_at.date()) == (Status.CREATED, day)

    window.go("/?status=created")
    window.page.locator(f"tr[id='{job.id}'] .status.created").wait_for()
    window.go(f"/jobs/{job.id}/cancel")  # the question as a page of its own
    press(window, "Yes, cancel it")
    wait_for(window, "canceled")


def test_who_may_only_look_sees_how_it_goes_and_no_button(visit: Visit, site: Site, gate: Path):
    job = site.served.at_gate(site.create("gated", gate=str(gate), gate_at=2, limit=2), gate)
    window = visit("vera")
    window.page.locator(f"tr[id='{job.id}'] .status.processing").wait_for()
    assert window.page.get_by_role("link", name="New job").count() == 0
    assert window.context.request.get(f"{site.address}/new").status == 403
    window.go(f"/jobs/{job.id}")
    wait_for(window, "processing")
    assert [name for name in BUTTONS if window.page.get_by_role("button", name=name, exact=True).count()] == []
    assert window.page.get_by_role("link", name="Cancel").count() == 0

    gate.touch()
    wait_for(window, "completed")
    assert [name for name in BUTTONS if window.page.get_by_role("button", name=name, exact=True).count()] == []
