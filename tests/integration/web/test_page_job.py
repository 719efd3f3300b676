"""The view of a job: who sees what of it, and what its buttons do."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batch_jobs.deployments.web.choices import Choice, Choices
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.transitions import TRANSITIONS, Action, Status
from batch_jobs.strategies.sdk.leaving_out import LeaveOut
from support.api_server import Served
from support.jobs import partition, with_partitions
from support.visitors import visiting

OTHERS = ("", "/now", "/live", "/log", "/undoable", "/partitions", "/output", "/rejects.csv", "/cancel")
MOVES = ("confirm", "undo", "cancel", "pause", "resume", "retry")


def waiting(api: Served, owner: str = "alice", **plan: Any) -> Job:
    """A job that waits for a yes, with a plan."""
    job = api.job(owner)
    return api.workspace.store.move(job, Action.PRE_PROCESS, who="test", plan=plan)


def status_of(api: Served, job: Job) -> Status:
    return api.workspace.service.get(job.id).status


def buttons(text: str) -> set[str]:
    """What the view offers to do."""
    return set(re.findall(r'formaction="/jobs/[^/"]+/(\w+)"', text)) | set(
        re.findall(r'href="/jobs/[^/"]+/(cancel)"', text)
    )


@pytest.mark.parametrize("path", OTHERS)
def test_somebody_elses_job_is_not_found_in_the_words_of_none(shared: Served, path: str):
    bob, job = visiting(shared, "bob"), shared.job("alice", Status.PROCESSING)

    foreign, none = bob.get(f"/jobs/{job.id}{path}"), bob.get(f"/jobs/batch_none{path}")

    assert (foreign.status_code, none.status_code) == (404, 404)
    assert foreign.text.replace(job.id, "batch_none") == none.text


@pytest.mark.parametrize("move", MOVES)
def test_somebody_elses_job_is_moved_by_nobody(shared: Served, move: str):
    job = shared.job("alice", Status.PROCESSING)

    assert visiting(shared, "bob").post(f"/jobs/{job.id}/{move}").status_code == 404
    assert visiting(shared, "vera").post(f"/jobs/{job.id}/{move}").status_code == 403
    assert visiting(shared, "alice").post(f"/jobs/{job.id}/{move}", {"csrf": "other"}).status_code == 403
    assert status_of(shared, job) is Status.PROCESSING


@pytest.mark.parametrize("status", list(Status))
def test_the_view_offers_what_the_job_allows_and_a_viewer_nothing(shared: Served, status: Status):
    job = shared.job("alice", status)
    allowed = {action for action, to in TRANSITIONS[status].items() if to is not status} & {*MOVES}
    undo = {"undo"} if job.has_ended and job.processing_at else set()

    assert buttons(visiting(shared, "alice").get(f"/jobs/{job.id}").text) == allowed | undo
    assert buttons(visiting(shared, "vera").get(f"/jobs/{job.id}").text) == set()


def test_each_button_moves_the_job(shared: Served):
    alice, job = visiting(shared, "alice"), shared.job("alice", Status.PROCESSING)
    for move, after in (("pause", "paused"), ("resume", "processing"), ("cancel", "canceled")):
        answer = alice.post(f"/jobs/{job.id}/{move}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job.id}")
        assert status_of(shared, job) == after
    failed = shared.job("alice", Status.FAILED)
    alice.post(f"/jobs/{failed.id}/retry")
    assert status_of(shared, failed) is not Status.FAILED


def test_what_is_not_possible_any_more_is_a_sentence_above_the_job_as_it_is(shared: Served):
    alice, job = visiting(shared, "alice"), shared.job("alice", Status.COMPLETED)

    answer = alice.post(f"/jobs/{job.id}/pause")

    assert answer.status_code == 409
    assert f"{job.id} is completed; pause is possible from processing" in answer.text
    assert 'class="status completed"' in answer.text
    assert "pause" not in buttons(answer.text)
    assert alice.client.get(f"/jobs/{job.id}/pause").headers["location"] == f"/jobs/{job.id}"


def test_canceling_asks_once_more_on_a_page_of_its_own(shared: Served):
    alice, job = visiting(shared, "alice"), shared.job("alice", Status.PROCESSING)

    asked = alice.get(f"/jobs/{job.id}/cancel")

    assert f'action="/jobs/{job.id}/cancel"' in asked.text
    assert status_of(shared, job) is Status.PROCESSING


@pytest.mark.parametrize("typed", ["", "11", "12 rows", "-12", "1e1"])
def test_rows_are_not_removed_before_their_number_is_typed(shared: Served, typed: str):
    alice, job = visiting(shared, "alice"), waiting(shared, counts={"create": 1, "remove": 12})

    answer = alice.post(f"/jobs/{job.id}/confirm", {"removed": typed})

    assert answer.status_code == 400
    assert "it removes 12 rows: type 12 to confirm that. Nothing was confirmed." in answer.text
    assert status_of(shared, job) is Status.PRE_PROCESSED


@pytest.mark.parametrize(("removes", "typed"), [(0, ""), (12, " 12 "), (1200, "1.200"), (1200, "1,200")])
def test_the_number_of_removed_rows_confirms(shared: Served, removes: int, typed: str):
    alice, job = visiting(shared, "alice"), waiting(shared, counts={"remove": removes})

    assert ('name="removed"' in alice.get(f"/jobs/{job.id}").text) == (removes > 0)
    assert alice.post(f"/jobs/{job.id}/confirm", {"removed": typed}).status_code == 303
    assert status_of(shared, job) is Status.CONFIRMED


def test_a_choice_that_was_changed_after_it_was_shown_is_not_confirmed(shared: Served):
    alice, job = visiting(shared, "alice"), waiting(shared, counts={"create": 1})
    shown = re.search(r'name="choice" value="(\w+)"', alice.get(f"/jobs/{job.id}").text)
    assert shown
    Choices(shared.workspace.files).keep(job.id, Choice(LeaveOut(columns=["price"])))

    answer = alice.post(f"/jobs/{job.id}/confirm", {"choice": shown[1]})

    assert answer.status_code == 400
    assert "was changed meanwhile" in answer.text
    assert "Left out, as chosen: columns price." in answer.text
    assert alice.post(f"/jobs/{job.id}/confirm").status_code == 422  # this type leaves nothing out
    assert status_of(shared, job) is Status.PRE_PROCESSED


def test_by_the_two_person_rule_the_button_is_for_another(serve: Callable[..., Served], no_prefect: None):
    api = serve(confirm_by_other="true")
    job = waiting(api, counts={"create": 1})
    alice, root = visiting(api, "alice"), visiting(api, "root")

    text = alice.get(f"/jobs/{job.id}").text
    assert "confirm" not in buttons(text)
    assert "anybody but alice may" in text
    assert "anybody but alice may" in alice.post(f"/jobs/{job.id}/confirm").text
    assert "confirm" in buttons(root.get(f"/jobs/{job.id}").text)
    assert root.post(f"/jobs/{job.id}/confirm").status_code == 303


def test_too_late_is_said_and_nothing_confirmed(serve: Callable[..., Served], no_prefect: None):
    api = serve(confirm_timeout=60)
    before = datetime.now(UTC) - timedelta(minutes=2)
    job = api.workspace.store.move(api.job(), Action.PRE_PROCESS, who="test", pre_processed_at=before)
    alice = visiting(api, "alice")

    assert "It is too late to confirm this job" in (text := alice.get(f"/jobs/{job.id}").text)
    assert buttons(text) == {"cancel"}
    answer = alice.post(f"/jobs/{job.id}/confirm")
    assert answer.status_code == 409
    assert "it was not confirmed within 0:01:00; create a new job" in answer.text
    assert 'class="status canceled"' in answer.text


def test_settings_are_shown_with_secrets_masked_and_texts_as_texts(shared: Served):
    job = shared.job("alice", note="<script>alert(1)</script>", password="hush-hush-hush")

    text = visiting(shared, "alice").get(f"/jobs/{job.id}").text

    assert "hush" not in text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_plan_files_and_process_are_for_who_may_read_files(shared: Served):
    job = waiting(shared, counts={"create": 7}, columns={"colour": {"type": "text"}})
    running = with_partitions(
        shared.workspace.store, shared.job("alice", Status.PROCESSING), [partition(1, "running", where="worker-2:4711")]
    )
    alice, vera = visiting(shared, "alice"), visiting(shared, "vera")

    assert "colour" in alice.get(f"/jobs/{job.id}").text
    assert "colour" not in vera.get(f"/jobs/{job.id}").text
    where = ProcessIdentity.current().host
    for path in ("", "/partitions"):
        assert "worker-2:4711" in alice.get(f"/jobs/{running.id}{path}").text
        assert "worker-2:4711" not in vera.get(f"/jobs/{running.id}{path}").text
    assert where not in vera.get(f"/jobs/{running.id}").text
    assert [vera.get(f"/jobs/{job.id}/{path}").status_code for path in ("log", "output", "rejects.csv")] == [403] * 3


def test_files_come_whole_and_in_parts_as_the_apis_do(shared: Served):
    job = shared.job("alice", Status.PROCESSING)
    key = f"jobs/{job.id}/goods.csv"
    with shared.workspace.files.writing(key) as stream:
        stream.write(b"a,b\n1,2\n")
    claimed = shared.workspace.store.claim(job, ProcessIdentity.current(), None)
    result = job.result.model_copy(update={"file_key": key, "rejects_file_key": key})
    shared.workspace.store.save_result(job.id, claimed.claim or 0, result, {})
    alice = visiting(shared, "alice")

    for path in ("output", "rejects.csv"):
        whole = alice.get(f"/jobs/{job.id}/{path}")
        assert (whole.status_code, whole.content) == (200, b"a,b\n1,2\n")
        assert whole.headers["content-disposition"] == 'attachment; filename="goods.csv"'
        part = alice.get(f"/jobs/{job.id}/{path}", headers={"range": "bytes=4-"})
        assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"1,2\n", "bytes 4-7/8")
        assert visiting(shared, "bob").get(f"/jobs/{job.id}/{path}").status_code == 404
    assert alice.client.head(f"/jobs/{job.id}/output").headers["content-length"] == "8"
    assert visiting(shared, "alice").get(f"/jobs/{shared.job().id}/output").status_code == 404


def test_a_thousand_partitions_are_a_few_lines_and_pages_of_their_own(shared: Served):
    entries = [partition(number, "failed" if number == 777 else "waiting") for number in range(1, 1001)]
    job = with_partitions(shared.workspace.store, shared.job("alice", Status.PROCESSING), entries)
    alice = visiting(shared, "alice")

    view = alice.get(f"/jobs/{job.id}").text
    assert "part 777" in view
    assert "and 999 more: 999 waiting" in view
    assert len(view) < 40_000
    first, failed = (
        alice.get(f"/jobs/{job.id}/partitions").text,
        alice.get(f"/jobs/{job.id}/partitions?status=failed").text,
    )
    assert (first.count('<td data-label="Partition"'), failed.count('<td data-label="Partition"')) == (200, 1)
    assert "part 1000" in alice.get(f"/jobs/{job.id}/partitions?first=800").text
    assert alice.get(f"/jobs/{job.id}/partitions?first=x").status_code == 404


def test_an_undo_and_what_it_undoes_lead_to_each_other_and_say_why_not(shared: Served):
    alice, job = visiting(shared, "alice"), shared.job("alice", Status.COMPLETED)
    answer = alice.post(f"/jobs/{job.id}/undo", {"force": "1"})
    undo = shared.workspace.service.get(answer.headers["location"].rpartition("/")[2])

    assert (undo.context["job"], undo.context["force"]) == (job.id, True)
    assert f'href="/jobs/{job.id}"' in alice.get(f"/jobs/{undo.id}").text
    assert f'href="/jobs/{undo.id}"' in alice.get(f"/jobs/{job.id}").text
    for action in (Action.PRE_PROCESS, Action.CONFIRM, Action.PROCESS, Action.COMPLETE):
        undo = shared.workspace.store.move(undo, action, who="test")
    text = alice.get(f"/jobs/{job.id}").text
    assert f"was undone already, by {undo.id}" in text
    assert "undo" not in buttons(text)
    assert "has kept no changes" in alice.get(f"/jobs/{job.id}/undoable").text


def test_an_undo_by_somebody_whom_one_does_not_see_is_not_linked(shared: Served):
    job = shared.job("alice", Status.COMPLETED)
    undo = shared.workspace.service.record("undo", {"job": job.id}, created_by="root", trigger=Trigger.API)

    assert undo.id not in visiting(shared, "alice").get(f"/jobs/{job.id}").text
    assert undo.id in visiting(shared, "root").get(f"/jobs/{job.id}").text


def test_the_log_says_that_prefect_is_away_and_the_view_is_there(api: Served):
    job = api.job("alice", Status.PROCESSING)
    api.workspace.store.set_flow_run(job, "00000000-0000-0000-0000-000000000001")
    alice = visiting(api, "alice")

    log = alice.get(f"/jobs/{job.id}/log")

    assert log.status_code == 200
    assert "The log cannot be shown now: no Prefect is named" in log.text
    assert alice.get(f"/jobs/{job.id}").status_code == 200
    assert "The schedules cannot be shown now: no Prefect is named" in alice.get("/schedules").text


def test_what_was_seen_is_not_sent_again(shared: Served):
    alice, job = visiting(shared, "alice"), shared.job("alice", Status.PROCESSING)
    seen = re.search(r'hx-get="(/jobs/[^"]+/now\?seen=[^"]+)"', alice.get(f"/jobs/{job.id}").text)
    assert seen

    assert alice.get(seen[1]).status_code == 204
    shared.workspace.store.move(job, Action.PAUSE, who="test")
    assert 'class="status paused"' in alice.get(seen[1]).text


def test_what_is_made_for_all_tabs_has_nothing_of_a_session(shared: Served):
    alice, job = visiting(shared, "alice"), shared.job("alice", Status.PROCESSING)

    parts = alice.get(f"/jobs/{job.id}/now").text

    assert 'form="act"' in parts
    assert alice.csrf not in parts
    assert alice.csrf in alice.get(f"/jobs/{job.id}").text
