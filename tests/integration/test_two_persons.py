"""The two-person rule, in real runs."""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from sqlalchemy import text

from batch_jobs.flows.errors import IdempotencyKeyTaken, OtherMustConfirm
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.flows.runs.flow import build_flow
from batch_jobs.flows.workspace import Workspace, current_workspace

GOODS = "code,price\n" + "".join(f"A-{number},{number}\n" for number in range(1, 6))
CONTEXT = {"table": "goods", "key": ["code"], "mode": "upsert"}


@pytest.fixture
def workspace(home: Any, prefect_here: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("BATCH_JOBS_CONFIRM_BY_OTHER", "table-import:3")
    yield current_workspace()


@pytest.fixture
def run(workspace: Workspace) -> Callable[[Job], Job]:
    importing = build_flow(workspace.strategies.by_type["table-import"])
    return lambda job: importing(context=None, job_id=job.id)


def recorded(workspace: Workspace, rows: int, **options: Any) -> Job:
    lines = "".join(GOODS.splitlines(keepends=True)[: rows + 1])
    key = workspace.files.put(BytesIO(lines.encode()), "goods.csv")
    context = {**CONTEXT, "file_key": key}
    return workspace.service.record("table-import", context, created_by="alice", trigger=Trigger.API, **options)


def there(workspace: Workspace) -> int:
    with workspace.target.connect() as connection:
        if not workspace.target.dialect.has_table(connection, "goods"):
            return 0
        return int(connection.scalar(text("SELECT count(*) FROM goods")) or 0)


def test_a_job_that_was_to_go_through_waits_for_somebody_else_before_it_writes(
    workspace: Workspace, run: Callable[[Job], Job]
):
    waiting = run(recorded(workspace, 5))

    assert (waiting.status, waiting.awaits_confirmation, there(workspace)) == (Status.PRE_PROCESSED, True, 0)
    (said,) = [entry.message for entry in waiting.result.stat_descriptors if entry.key == "confirm-by-other"]
    assert said == "somebody else has to confirm it: it changes 5 rows, and one person alone may change 3"
    with pytest.raises(OtherMustConfirm, match="alice created it; anybody but alice may"):
        workspace.service.confirm(waiting.id, "alice")
    assert run(waiting).status is Status.PRE_PROCESSED  # a run alone changes nothing

    workspace.service.confirm(waiting.id, "bob")
    assert (run(waiting).status, there(workspace)) == (Status.COMPLETED, 5)
    confirmed = [event.who for event in workspace.service.events(waiting.id) if event.action == Action.CONFIRM]
    assert confirmed == ["bob"]


def test_a_small_job_goes_through_and_its_dry_run_is_its_makers_to_confirm(
    workspace: Workspace, run: Callable[[Job], Job]
):
    assert (run(recorded(workspace, 3)).status, there(workspace)) == (Status.COMPLETED, 3)

    looked = run(recorded(workspace, 3, dry_run=True))
    workspace.service.confirm(looked.id, "alice")
    assert run(looked).status is Status.COMPLETED


def test_an_idempotency_key_gives_the_same_job_again_when_that_waits_by_the_rule(
    workspace: Workspace, run: Callable[[Job], Job]
):
    first = recorded(workspace, 5, idempotency_key="k")
    run(first)
    again = {"context": first.context, "created_by": "alice", "trigger": Trigger.API, "idempotency_key": "k"}
    assert workspace.service.record("table-import", **again).id == first.id
    with pytest.raises(IdempotencyKeyTaken):
        workspace.service.record("table-import", **{**again, "partitions": 3})


def test_an_undo_falls_under_the_rule_of_what_it_takes_back(workspace: Workspace, run: Callable[[Job], Job]):
    done = run(recorded(workspace, 3))
    undo = done.model_copy(update={"id": "batch_undo", "type": "undo", "context": {"job": done.id}})

    assert workspace.service.why_by_other(undo, {"counts": {"remove": 3}}) == "it removes 3 rows"


@pytest.mark.parametrize("name", ["mallory", "prefect-ui"])
def test_a_name_entered_in_prefects_form_is_nobodys(workspace: Workspace, run: Callable[[Job], Job], name: str):
    waiting = run(recorded(workspace, 5))
    with pytest.raises(OtherMustConfirm, match="nobody knows who confirms it here"):
        workspace.service.confirm_by_form(waiting.id, name)
    assert workspace.service.get(waiting.id).status is Status.PRE_PROCESSED
