"""What goes where, in a browser: what somebody has chosen is what is sent, whatever was put into the page since."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from batch_jobs.flows.settings import Settings
from support.api_server import STRATEGIES, Served, served_with
from support.browsing import CHROMIUM, Browsing, browsing

#: What the page would send, and what it would send had it just been loaded with the last answer.
SENT = """text => {
  const fresh = new DOMParser().parseFromString(`<form>${text}</form>`, "text/html").forms[0];
  const sent = form => JSON.stringify([...new FormData(form)].filter(([name]) => !["csrf", "key"].includes(name)));
  return [sent(document.getElementById("map")), sent(fresh)];
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; .ci/run installs it"),
]


@pytest.fixture
def served(home: Path) -> Iterator[Served]:
    with served_with(Settings(home=home, strategies=str(STRATEGIES), api_port=0)) as served:
        with served.workspace.target.begin() as connection:
            connection.execute(text("CREATE TABLE goods (code varchar(9) PRIMARY KEY, price numeric(8,2), note text)"))
            connection.execute(text("CREATE TABLE wages (note text, name text PRIMARY KEY, price integer, code text)"))
        yield served


@pytest.fixture
def window(served: Served, browser: Any) -> Iterator[Browsing]:
    with browsing(browser, served.url) as one:
        one.sign_in(served.keys["alice"])
        yield one


def upload(served: Served, content: str) -> str:
    sent = served.by("alice").post("/admin/uploads", files=[("files", ("in.csv", content.encode()))])
    key: str = sent.json()["uploads"][0]["key"]
    return key


def answered(window: Browsing, change: Any) -> None:
    """Make a change, wait for its effect, and compare what is in the page with what was answered."""
    with window.page.expect_response(lambda answer: answer.url.endswith("/map")) as found:
        change()
    shown = found.value.text()
    window.page.wait_for_function(
        f"text => {{ const [now, fresh] = ({SENT})(text); return now === fresh; }}", arg=shown
    )


def test_what_is_chosen_stays_with_its_column_whatever_comes_and_goes(served: Served, window: Browsing):
    page = window.page
    key = upload(served, "Code,b,Price\nA,1,2\n")
    window.go(f"/new/table-import/map?file_key={key}&table=fresh&mode=upsert")

    answered(window, lambda: page.get_by_label("Code", exact=True).check())
    answered(window, lambda: page.get_by_role("checkbox", name="leave out").first.check())
    assert not page.get_by_label("b", exact=True).is_checked()
    answered(window, lambda: page.get_by_label("b", exact=True).check())
    answered(window, lambda: page.get_by_role("checkbox", name="leave out").first.uncheck())
    answered(window, lambda: page.locator("#field-key").get_by_label("b", exact=True).uncheck())
    for table in ("goods", "wages"):
        answered(window, lambda table=table: (page.fill("#field-table", table), page.keyboard.press("Tab")))
        assert page.get_by_label("Where Code goes").input_value() == "=code"
        answered(window, lambda: page.get_by_label("Where b goes").select_option("=note"))
        answered(window, lambda: page.get_by_label("Where Price goes").select_option("-"))
        answered(window, lambda: page.get_by_label("Where Price goes").select_option("=price"))
    answered(window, lambda: (page.fill("#field-skip_rows", "1"), page.keyboard.press("Tab")))
    answered(window, lambda: (page.fill("#field-skip_rows", ""), page.keyboard.press("Tab")))

    assert page.get_by_label("Where b goes").input_value() == "=note"
    assert window.found_by_axe() == []
    page.set_viewport_size({"width": 360, "height": 800})
    assert window.wider_than_it_shows() == []


def test_enter_shows_the_effect_and_takes_no_guess(served: Served, window: Browsing):
    key = upload(served, 'code;price\nA;"1,50"\nB;"2,50"\n')
    window.go(f"/new/table-import/map?file_key={key}&table=taken")
    assert window.page.get_by_role("button", name="Read it so").is_visible()

    with window.page.expect_navigation():
        window.page.locator("#field-skip_rows").press("Enter")
    assert window.page.locator("#field-decimal").input_value() == ""
    assert httpx.URL(window.page.url).path == "/new/table-import/map"
