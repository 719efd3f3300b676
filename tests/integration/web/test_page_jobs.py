"""The list of jobs: its filters, its pages, and what stays where it is while jobs are made."""

import html
import re
from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest

from batch_jobs.deployments.web.routes import jobs as jobs_view
from batch_jobs.flows.jobs.transitions import Status
from support.api_server import Served
from support.visitors import Visitor, visiting

FRAGMENT = {"hx-request": "true"}


def ids(text: str) -> list[str]:
    """The jobs of a list, in its order."""
    return re.findall(r'<tr id="(batch_\w+)">', text)


def shown(visitor: Visitor, **asked: str) -> list[str]:
    return ids(visitor.get(f"/?{urlencode(asked)}").text)


def test_one_sees_ones_own_jobs_the_newest_first_and_a_viewer_everybodys(api: Served):
    hers = [api.job("alice").id for _ in range(3)]
    his = api.job("bob").id

    assert shown(visiting(api, "alice")) == hers[::-1]
    assert shown(visiting(api, "vera")) == [his, *hers[::-1]]
    assert shown(visiting(api, "alice"), created_by="bob") == []
    assert shown(visiting(api, "alice"), id=his) == []


def test_filters_narrow_the_list(api: Served):
    job, failed = api.job("alice"), api.job("bob", Status.FAILED)
    vera, today = visiting(api, "vera"), datetime.now().astimezone().date()

    assert shown(vera, status="failed") == [failed.id]
    assert shown(vera, created_by="alice", status="") == [job.id]
    assert shown(vera, type="noting") == [failed.id, job.id]
    assert shown(vera, type="table-import") == []
    assert shown(vera, id=f" {job.id} ") == [job.id]
    assert shown(vera, since=f"{today}", until=f"{today}") == [failed.id, job.id]
    assert shown(vera, until=f"{today - timedelta(days=1)}") == []
    assert shown(vera, since=f"{today + timedelta(days=1)}") == []


@pytest.mark.parametrize(
    "asked", ["since=tomorrow", "until=9999-12-31", "status=none", "cursor=%00", "id=%00", "type=%00"]
)
def test_what_cannot_be_asked_is_a_sentence(api: Served, asked: str):
    answer = visiting(api, "vera").get(f"/?{asked}")

    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_pages_follow_each_other_and_a_held_one_stays_while_jobs_are_made(api: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs_view, "LIMIT", 3)
    made = [api.job("alice").id for _ in range(7)][::-1]
    alice = visiting(api, "alice")
    text = alice.get("/").text
    onward = re.search(r'name="cursor" value="([^"]+)"', text)
    first = re.search(r'data-first="([^"]+)"', text)
    assert onward
    assert first

    assert ids(text) == made[:3]
    assert shown(alice, cursor=onward[1]) == made[3:6]
    newer = [api.job("alice").id for _ in range(2)]
    held = alice.get(f"/?cursor={first[1]}&held=1", headers=FRAGMENT).text
    assert ids(held) == made[:3]
    assert "2 new jobs" in held
    assert ids(alice.get("/", headers=FRAGMENT).text)[:2] == newer[::-1]
    api.job("alice")
    api.job("alice")
    assert "more than 3 new jobs" in alice.get(f"/?cursor={first[1]}&held=1", headers=FRAGMENT).text


def test_names_are_texts_whatever_is_in_them(api: Served):
    api.workspace.service.record("noting", {}, created_by="<img src=x>", dry_run=True)

    assert html.escape("<img src=x>") in visiting(api, "vera").get("/").text
