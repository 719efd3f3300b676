"""A file from a browser: dropped, cut off, chosen again, and a job of it."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from batch_jobs.deployments.api.middleware import LARGEST_PART
from batch_jobs.flows.settings import Settings
from support.api_server import STRATEGIES, Served, served_with
from support.browsing import CHROMIUM

#: Five parts, the last one small.
LINES = 4 * LARGEST_PART // 12 + 1000
#: Drops a file as a person does; the one that is chosen later has to be the same.
DROP = """([zone, name, head, line, lines, modified]) => {
  const data = new DataTransfer();
  data.items.add(new File([head + line.repeat(lines)], name, { lastModified: modified }));
  zone.dispatchEvent(new DragEvent("dragover", { dataTransfer: data, bubbles: true, cancelable: true }));
  zone.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; .ci/run installs it"),
]


@pytest.fixture
def served(home: Path) -> Iterator[Served]:
    with served_with(Settings(home=home, strategies=str(STRATEGIES), api_port=0)) as served:
        yield served


@pytest.fixture
def page(served: Served, browser: Any) -> Iterator[Any]:
    """A page of alice, who has signed in; what it says to the console is an error of the test."""
    shown = browser.new_page()
    shown.set_default_timeout(30_000)
    said: list[str] = []
    shown.on("console", lambda message: message.type in ("error", "warning") and said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.goto(f"{served.url}/sign-in")
    shown.get_by_label("Your key").fill(served.keys["alice"])
    shown.get_by_role("button", name="Sign in").click()
    shown.wait_for_url(f"{served.url}/")
    yield shown
    shown.close()
    assert [text for text in said if "net::ERR_FAILED" not in text] == []  # but for what the test cuts off


def test_an_upload_that_is_cut_off_goes_on_when_the_file_is_chosen_again(served: Served, page: Any, tmp_path: Path):
    head, line = "code,name\n", "A-1,a table\n"
    file = tmp_path / "prices ä <b>.csv"
    file.write_text(head + line * LINES)
    size, modified = file.stat().st_size, file.stat().st_mtime_ns // 1_000_000
    parts: list[tuple[int, int]] = []  # where each begins, and its bytes
    page.on("requestfinished", lambda request: _note(request, parts))
    with served.workspace.target.begin() as connection:
        connection.execute(text("CREATE TABLE shelf (code VARCHAR(20) PRIMARY KEY, name TEXT)"))
    page.goto(f"{served.url}/new/table-import")
    page.route("**/uploads/*", lambda route: _cut_off_at(route, 3 * LARGEST_PART))

    page.evaluate(DROP, [page.query_selector("[data-drop]"), file.name, head, line, LINES, modified])

    page.get_by_text("was cut off at 12.6 MB. Choose it again").wait_for()
    assert 0.6 < page.locator("progress").evaluate("bar => bar.value") < 0.8
    before = sum(count for _, count in parts)
    assert before == 3 * LARGEST_PART
    page.unroute("**/uploads/*")
    page.locator("[data-drop] input[type=file]").set_input_files(file)
    page.wait_for_url("**/new/table-import/map?file_key=*")

    assert [begins for begins, _ in parts] == list(range(0, size, LARGEST_PART))
    assert sum(count for _, count in parts) == size
    page.locator("#tables option[value=shelf]").wait_for(state="attached")
    page.get_by_label("Table").fill("shelf")
    page.get_by_role("button", name="More settings").click()
    page.get_by_role("button", name="Create the job").click()
    page.wait_for_url("**/jobs/batch_*")
    job = served.workspace.service.get(page.url.rpartition("/")[2])
    assert job.dry_run
    assert (job.created_by, job.context["table"]) == ("alice", "shelf")
    with served.workspace.files.open(job.context["file_key"]) as stored:
        assert stored.read() == file.read_bytes()


def test_a_small_file_is_put_into_the_form_that_is_open(served: Served, page: Any, tmp_path: Path):
    file = tmp_path / "notes.csv"
    file.write_text("note\nhello\n")
    served.workspace.uploads.add(
        "alice", [(served.workspace.files.put(BytesIO(b"x"), f"{name}.csv"), 1) for name in "ab"]
    )
    page.goto(f"{served.url}/new/noting/file")
    page.get_by_label("Name").press_sequentially("b.c")
    page.get_by_role("link", name="a.csv").wait_for(state="detached")
    assert page.get_by_role("link", name="b.csv").is_visible()
    page.goto(f"{served.url}/new/noting?note=mine")

    page.locator("[data-drop] input[type=file]").set_input_files(file)

    page.get_by_text("notes.csv is there.").wait_for()
    assert page.get_by_label("Note").input_value() == "mine"
    page.get_by_role("button", name="Create the job").dblclick()
    page.wait_for_url("**/jobs/batch_*")
    (job,) = _jobs(served)
    assert job.context["note"] == "mine"
    assert job.context["file_key"].endswith("/notes.csv")


def test_without_javascript_a_file_goes_up_by_a_form_and_becomes_a_job(served: Served, page: Any, tmp_path: Path):
    file = tmp_path / "prices.csv"
    file.write_text("code,name\nA,b\n")
    state = page.context.storage_state()
    plain = page.context.browser.new_context(java_script_enabled=False, storage_state=state).new_page()
    plain.goto(f"{served.url}/new")
    plain.get_by_role("link", name="table-import", exact=True).click()

    plain.get_by_label("File", exact=True).set_input_files(file)
    plain.get_by_role("button", name="Upload").click()
    plain.get_by_label("Table").fill("shelf")
    plain.get_by_role("button", name="More settings").click()
    plain.get_by_role("button", name="Create the job").click()

    plain.wait_for_url("**/jobs/batch_*")
    (job,) = _jobs(served)
    with served.workspace.files.open(job.context["file_key"]) as stored:
        assert stored.read() == file.read_bytes()


def _jobs(served: Served) -> list[Any]:
    answer = served.by("root").get("/admin/batch-jobs").json()
    return [served.workspace.service.get(job["id"]) for job in answer["batch_jobs"]]


def _note(request: Any, parts: list[tuple[int, int]]) -> None:
    if request.method == "PATCH":
        begins = int(request.headers["upload-offset"])
        parts.append((begins, request.response().json()["offset"] - begins))


def _cut_off_at(route: Any, offset: int) -> None:
    is_late = route.request.method == "PATCH" and int(route.request.headers["upload-offset"]) >= offset
    route.abort() if is_late else route.continue_()
