"""The history of a row in the page: which jobs changed it, as far as the visitor sees them."""

import html
import re

import pytest

from batch_jobs.flows.jobs.transitions import Status
from support.api_server import Served
from support.change_log import log_change
from support.visitors import visiting


def jobs_in(text: str) -> list[str]:
    return re.findall(r'href="/jobs/(batch_\w+)"', text)


def test_the_history_of_a_row_has_the_jobs_that_its_reader_sees_with_before_and_after(shared: Served):
    mine, others = shared.job("alice", Status.COMPLETED), shared.job("bob", Status.COMPLETED)
    log_change(shared.workspace.target, mine.id, code=["P <1>"], price=[("1", "<b>2</b>")])
    log_change(shared.workspace.target, others.id, code=["P <1>"], price=[("<b>2</b>", None)])
    asked = {"table": "products", "key": "P <1>"}

    hers = visiting(shared, "alice").get("/history", params=asked).text
    everybodys = visiting(shared, "root").get("/history", params=asked).text

    assert jobs_in(hers) == [mine.id]
    assert jobs_in(everybodys) == [others.id, mine.id]
    assert html.escape("<b>2</b>") in hers
    assert "<b>2" not in everybodys
    assert 'class="new"><span class="faint">empty' in everybodys
    assert f'value="{html.escape("P <1>")}"' in hers


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("table=products", "table and key are needed"),
        ("table=nothing&key=1", "no job has kept a change of nothing"),
        ("table=products&key=[null]", "key must be texts, or JSON of such"),
        ("table=products&key=1&cursor=x", "cursor must be the next_cursor"),
        ("table=products&key=%00", "key must not contain a NUL character"),
    ],
)
def test_what_cannot_be_found_is_a_sentence_above_the_form(shared: Served, asked: str, said: str):
    log_change(shared.workspace.target, shared.job("alice", Status.COMPLETED).id)
    answer = visiting(shared, "alice").get(f"/history?{asked}")

    assert answer.status_code >= 400
    assert said in html.unescape(answer.text)
    assert 'name="table"' in answer.text


def test_it_is_for_who_may_read_files(shared: Served):
    assert visiting(shared, "vera").get("/history?table=products&key=A").status_code == 403
    assert visiting(shared, "alice").get("/history").status_code == 200
