"""A confirmation that leaves parts out, from the service to the target, and what of it is seen in the job."""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from sqlalchemy import text

from batch_jobs.flows.errors import ActionIllegal
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.runs.flow import build_flow
from batch_jobs.flows.workspace import Workspace, current_workspace
from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.errors import LeaveOutRefused
from batch_jobs.strategies.tables.changes.reading import ChangeFilter

BEFORE = "code,name,price\nA,Apple,10\nB,Bun,5\n"
AFTER = "code,name,price\nA,Apple,4\nB,Bread,6\nC,Cake,7\n"


@pytest.fixture
def workspace(home: Any, prefect_here: None) -> Iterator[Workspace]:
    yield current_workspace()


@pytest.fixture
def run(workspace: Workspace) -> Callable[..., Job]:
    importing = build_flow(workspace.strategies.by_type["table-import"])

    def run(content: str | Job, dry_run: bool = False) -> Job:
        if isinstance(content, Job):
            return importing(context=None, job_id=content.id)
        key = workspace.files.put(BytesIO(content.encode()), "goods.csv")
        return importing(
            context={"file_key": key, "table": "goods", "key": ["code"], "mode": "upsert"}, dry_run=dry_run
        )

    return run


def test_what_a_confirmation_leaves_out_is_kept_with_the_job_and_said_in_its_history(
    workspace: Workspace, run: Callable[..., Job]
):
    run(BEFORE)
    previewed = run(AFTER, dry_run=True)
    wish = {"keys": ["C"], "rules": [{"column": "price", "change_percent_below": -50}]}

    workspace.service.confirm(previewed.id, "mara", leave_out=wish)
    done = run(previewed)

    assert done.status is Status.COMPLETED
    with workspace.target.connect() as connection:
        assert [tuple(row) for row in connection.execute(text("SELECT code, name FROM goods ORDER BY code"))] == [
            ("A", "Apple"),
            ("B", "Bread"),
        ]
    assert (done.result.updated, done.result.created, done.result.rejected) == (1, 0, 2)
    assert (done.plan or {})["leave_out"] == {
        "keys": ["C"],
        "rules": [{"column": "price", "change_percent_below": "-50"}],
    }
    assert (done.plan or {})["left_out"]["rows"] == 2
    (confirmed,) = [event for event in workspace.service.events(done.id) if event.action == "confirm"]
    assert (confirmed.who, str(confirmed.why).startswith('leaves out keys ["C"]; rules [')) == ("mara", True)


def test_what_cannot_be_left_out_changes_nothing_and_can_be_said_again(workspace: Workspace, run: Callable[..., Job]):
    run(BEFORE)
    previewed = run(AFTER, dry_run=True)
    for wish in ({"columns": ["prize"]}, {"keys": ["Z"]}, {"rules": [{"column": "price"}]}):
        with pytest.raises(LeaveOutRefused):
            workspace.service.confirm(previewed.id, "mara", leave_out=wish)
        now = workspace.service.get(previewed.id)
        assert (now.version, now.status, now.plan) == (previewed.version, previewed.status, previewed.plan)

    workspace.service.confirm(previewed.id, "mara", leave_out={"columns": ["price"]})
    with pytest.raises(ActionIllegal):
        workspace.service.confirm(previewed.id, "nora", leave_out={"columns": ["name"]})
    assert run(previewed).result.created == 1


def test_a_type_that_offers_nothing_says_so(workspace: Workspace, run: Callable[..., Job]):
    run(BEFORE)
    exporting = build_flow(workspace.strategies.by_type["table-export"])
    waiting = exporting(context={"table": "goods"}, dry_run=True)

    with pytest.raises(LeaveOutRefused, match="table-export does not offer to leave parts out; confirm all of it"):
        workspace.service.confirm(waiting.id, "mara", leave_out={"columns": ["price"]})
    assert workspace.service.confirm(waiting.id, "mara", leave_out={}).status is Status.CONFIRMED


def test_an_undo_leaves_parts_out_and_shows_its_changes_before_it_runs(workspace: Workspace, run: Callable[..., Job]):
    run(BEFORE)
    job = run(AFTER)
    undoing = build_flow(workspace.strategies.by_type["undo"])
    previewed = undoing(context={"job": job.id}, dry_run=True)
    changes = workspace.job_changes.page(previewed, ChangeFilter(column="price"), DataAccess()).entries
    found = {(one["kind"], one["key"]["code"], one["before"], one["after"]) for one in changes}
    assert {(kind, key) for kind, key, _, _ in found} == {("updated", "A"), ("updated", "B"), ("removed", "C")}

    with pytest.raises(LeaveOutRefused, match="leave_out names Z"):
        workspace.service.confirm(previewed.id, "mara", leave_out={"keys": ["Z"]})
    workspace.service.confirm(previewed.id, "mara", leave_out={"kinds": ["removed"], "columns": ["price"]})
    done = undoing(context=None, job_id=previewed.id)

    assert done.status is Status.COMPLETED
    with workspace.target.connect() as connection:
        rows = connection.execute(text("SELECT code, name, price FROM goods ORDER BY code"))
        assert [(code, name, int(price)) for code, name, price in rows] == [
            ("A", "Apple", 4),
            ("B", "Bun", 6),
            ("C", "Cake", 7),
        ]
    assert (done.result.updated, done.result.unchanged, done.result.rejected) == (1, 1, 3)
    assert (done.plan or {})["left_out"]["rows"] == 1
