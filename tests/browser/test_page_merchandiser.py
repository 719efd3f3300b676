"""The whole way of somebody who knows the prices and no terminal: a file dropped, corrected, loaded, taken back."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from batch_jobs.flows.jobs.model import Job
from support.browsing import CHROMIUM, Browsing
from support.site import Site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; .ci/run installs it"),
]

Rows = dict[str, tuple[Any, ...]]
TABLE = "shop_price"
GOODS = {f"CH-{n:02}": (f"Chair {n}", Decimal(n * 10), n) for n in range(10, 30)}
#: As a shop writes its products in a country with a decimal comma; two prices and a stock are wrong.
HEAD = "SKU;Title;Variant Price;Stock;Vendor\n"
WRONG = {"CH-12": "cheap;12", "CH-15": "15O,00;15", "CH-19": "190,00;many"}
RIGHT = {"cheap": "125,50", "15O,00": "150,50", "many": "19"}
NEW = {"CH-10": "20,00;10", "CH-20": "210,50;20", "CH-21": "211,50;21", "CH-22": "222,50;22"}
#: Left out: by a rule as it falls too much, and by a tick each.
LEFT_OUT = ("CH-10", "CH-20", "CH-21")
TICKED = LEFT_OUT[1:]


def supplied() -> str:
    """The shop's file: some prices are others, some cannot be read."""
    lines = [
        f"{sku};{title};{ {**NEW, **WRONG}.get(sku, f'{price},00;{stock}') };Woodworks\n"
        for sku, (title, price, stock) in GOODS.items()
    ]
    return HEAD + "".join(lines)


@pytest.fixture
def goods(site: Site) -> Iterator[Callable[[], Rows]]:
    """The table of the shop, and what is in it."""
    target = site.served.workspace.target
    with target.begin() as connection:
        connection.execute(
            text(f"CREATE TABLE {TABLE} (sku TEXT PRIMARY KEY, title TEXT, price NUMERIC(10,2), stock INTEGER)")
        )
        rows = [
            {"sku": sku, "title": title, "price": float(price), "stock": stock}
            for sku, (title, price, stock) in GOODS.items()
        ]
        connection.execute(text(f"INSERT INTO {TABLE} VALUES (:sku, :title, :price, :stock)"), rows)

    def found() -> Rows:
        with target.connect() as connection:
            listed = connection.execute(text(f"SELECT sku, title, price, stock FROM {TABLE}"))
            return {sku: (title, Decimal(str(price)), stock) for sku, title, price, stock in listed}

    yield found
    with target.begin() as connection:
        connection.execute(text(f"DROP TABLE {TABLE}"))


def test_a_price_list_is_mapped_looked_at_corrected_confirmed_watched_and_taken_back(
    visit: Callable[..., Browsing], site: Site, goods: Callable[[], Rows]
):
    window = visit(viewport={"width": 1000, "height": 700})
    before = goods()
    _drop(window)
    _map(window)
    _look_at_the_plan(window)
    _correct(window)
    _leave_out(window)
    job = _confirm(window, site)

    asked = {"CH-22": Decimal("222.5"), "CH-12": Decimal("125.5"), "CH-15": Decimal("150.5")}
    wanted = {sku: (title, asked.get(sku, price), stock) for sku, (title, price, stock) in before.items()}
    assert goods() == wanted
    _undo(window, site, job)
    assert goods() == before


def _drop(window: Browsing) -> None:
    page = window.page
    page.get_by_role("link", name="New job").first.click()
    page.get_by_role("link", name="table-import").first.click()
    given = {"name": "woodworks.csv", "mimeType": "text/csv", "buffer": supplied().encode()}
    window.keep("1-file")
    page.get_by_label("Drop a file here").set_input_files(given)
    page.wait_for_url("**/map?*")


def _map(window: Browsing) -> None:
    page = window.page
    page.get_by_label("Table").fill(TABLE)
    page.get_by_label("Mode").select_option("upsert")
    page.get_by_label("Where Variant Price goes").select_option("price")
    page.get_by_label("Where Vendor goes").select_option(label="leave out")
    page.get_by_role("button", name="Read it so").click()
    page.get_by_role("button", name="Read it so").wait_for(state="detached")
    page.get_by_text("'cheap' is not a number").wait_for()
    _keep_from(window, "2-columns", "Columns of the file")
    page.get_by_role("button", name="Look at what it will do").click()
    page.wait_for_url("**/jobs/*")


def _look_at_the_plan(window: Browsing) -> None:
    page = window.page
    page.get_by_role("button", name="Confirm").wait_for()
    window.keep("3-plan")


def _correct(window: Browsing) -> None:
    page = window.page
    page.get_by_role("link", name="Correct the refused rows first").click()
    page.get_by_role("heading", name="Refused rows").wait_for()
    for number, (wrong, right) in enumerate(RIGHT.items(), start=1):
        cell = page.locator(f"input[value='{wrong}']")
        cell.fill(right)
        cell.press("Tab")
        page.get_by_text("good now").nth(number - 1).wait_for()
    window.keep("4-corrected")
    page.get_by_role("button", name="Look at it with the corrections").click()
    page.get_by_role("button", name="Confirm").wait_for()


def _leave_out(window: Browsing) -> None:
    page = window.page
    page.get_by_role("link", name="Look at the changes").click()
    for key in TICKED:
        page.get_by_label(f"Leave out {key}").check()
    page.get_by_label("Column").last.select_option("price")
    page.get_by_label("How").select_option("fell")
    page.get_by_label("%", exact=True).fill("50")
    page.get_by_role("button", name="Keep this choice").click()
    page.get_by_text("falls by more than 50").wait_for()
    _keep_from(window, "5-left-out", "What the job will change")
    page.get_by_role("button", name="To the confirmation").click()


def _confirm(window: Browsing, site: Site) -> Job:
    page = window.page
    page.get_by_text("2 rows that are ticked; rows in which price falls by more than 50 %.").wait_for()
    window.keep("6-confirm")
    page.get_by_role("button", name="Confirm").click()
    page.locator(".status.completed").wait_for()
    page.get_by_role("heading", name="Result").wait_for()
    page.get_by_role("button", name="Undo").wait_for()
    window.keep("7-result")
    return site.served.get(site.served.workspace.service.list()[0])


def _undo(window: Browsing, site: Site, job: Job) -> None:
    page = window.page
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Confirm").wait_for()
    window.keep("8-undo")
    page.get_by_role("button", name="Confirm").click()
    page.locator(".status.completed").wait_for()


def _keep_from(window: Browsing, name: str, heading: str) -> None:
    """Keep a picture of what follows a heading."""
    window.page.get_by_role("heading", name=heading).evaluate("one => one.closest('section, main').scrollIntoView()")
    window.keep(name)
