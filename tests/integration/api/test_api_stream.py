"""A job as server-sent events."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from batch_jobs.deployments.api import job_stream
from batch_jobs.deployments.api.app import create_app
from batch_jobs.deployments.api.routes import stream
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.transitions import Action, Status
from support.api_server import Served, serving
from support.jobs import partition, with_partitions
from support.servers import wait_until


class Follower:
    """Reads a stream in a thread, event by event."""

    def __init__(self, client: httpx.Client, job_id: str, last: str | None = None, link: str | None = None) -> None:
        self.events: list[dict[str, str]] = []
        self.ended = threading.Event()
        self.status = 0
        headers = {"Last-Event-ID": last} if last else {}
        path = link or f"/admin/batch-jobs/{job_id}/stream"
        self._thread = threading.Thread(target=self._read, args=(client, path, headers))
        self._thread.start()

    def names(self) -> list[str]:
        return [event["event"] for event in self.events]

    def join(self) -> "Follower":
        self._thread.join(30)
        assert self.ended.is_set(), "the stream did not end"
        return self

    def _read(self, client: httpx.Client, path: str, headers: dict[str, str]) -> None:
        with client.stream("GET", path, headers=headers) as answer:
            self.status = answer.status_code
            event: dict[str, str] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line and name:
                    event[name] = value
                elif "event" in event:
                    self.events.append(event)
                    event = {}
                else:
                    event = {}
        self.ended.set()


def test_a_follower_sees_every_step_and_the_progress_and_the_stream_ends_with_the_job(api: Served):
    job = api.job("alice", Status.PROCESSING)
    job = api.workspace.store.claim(job, ProcessIdentity.current(), None)
    follower = Follower(api.by("alice"), job.id)
    wait_until(lambda: follower.names() == ["status"] * 4 + ["progress"], what="what there is")

    for count in (1, 2):
        result = job.result.model_copy(update={"count": 2, "advancement_count": count})
        api.workspace.store.save_result(job.id, job.claim or 0, result, {})
        wait_until(lambda count=count: len(follower.events) == 5 + count, what="progress")
    api.workspace.store.move(job, Action.COMPLETE, who="test")

    follower.join()
    assert follower.names() == ["status"] * 4 + ["progress"] * 3 + ["status", "progress", "end"]
    assert '"advancement_count": 2' in follower.events[6]["data"]
    assert '"to_status": "completed"' in follower.events[7]["data"]
    assert follower.events[-1]["data"] == '{"status": "completed"}'


def test_a_follower_sees_the_partitions_each_time_that_they_have_changed_and_not_otherwise(api_on_both: Served):
    store = api_on_both.workspace.store
    job = with_partitions(store, api_on_both.job("alice", Status.PROCESSING), [partition(1), partition(2)])
    follower = Follower(api_on_both.by("alice"), job.id)
    wait_until(lambda: follower.names().count("progress") == 1, what="what there is")

    with _counted(api_on_both, looks := []):
        wait_until(lambda: len(looks) >= 2, what="two looks")
    with_partitions(store, job, [partition(1, "running", where="host:7"), partition(2)])
    wait_until(lambda: follower.names().count("progress") == 2, what="the change")
    store.move(store.get(job.id), Action.COMPLETE, who="test")

    progress = [json.loads(event["data"]) for event in follower.join().events if event["event"] == "progress"]
    statuses = [[entry["status"] for entry in one["result"]["partitions"]] for one in progress]
    assert statuses == [["waiting", "waiting"], ["running", "waiting"], ["running", "waiting"]]
    assert progress[1]["result"]["partitions"][0]["where"] == "host:7"


def test_a_follower_who_comes_back_is_told_what_it_missed_and_nothing_twice(api: Served):
    job = api.job("alice", Status.CANCELED)
    whole = Follower(api.by("alice"), job.id).join()

    for seen in range(1, 4):
        rest = Follower(api.by("alice"), job.id, last=whole.events[seen - 1]["id"]).join()
        assert rest.events == whole.events[seen:]
    after_all = api.by("alice").get(
        f"/admin/batch-jobs/{job.id}/stream", headers={"Last-Event-ID": whole.events[-1]["id"]}
    )

    assert whole.names() == ["status", "status", "progress", "end"]
    assert after_all.status_code == 204


def test_a_follower_who_was_told_an_end_is_told_what_a_retry_added(api: Served):
    job = api.job("alice", Status.FAILED)
    end = Follower(api.by("alice"), job.id).join().events[-1]
    for action in (Action.RETRY, Action.CANCEL):
        job = api.workspace.store.move(job, action, who="test")

    assert Follower(api.by("alice"), job.id, last=end["id"]).join().names() == ["status", "status", "progress", "end"]


def test_a_follower_of_a_dry_run_is_told_that_it_waits_for_a_yes_and_the_stream_ends(api: Served):
    job, alice = api.job("alice", Status.PROCESSING), api.by("alice")
    waiting = api.job("alice", Status.PRE_PROCESSED)
    claimed = api.workspace.store.claim(waiting, ProcessIdentity.current(), None)
    follower = Follower(alice, waiting.id)
    wait_until(lambda: "progress" in follower.names(), what="the preview, which its process has not left yet")
    assert not follower.ended.is_set()

    api.workspace.store.release(claimed)

    last = follower.join().events[-1]
    assert last["event"] == "waiting"
    assert json.loads(last["data"]) == {"status": "pre_processed", "waits_for": "confirm"}
    again = {"Last-Event-ID": last["id"]}
    assert alice.get(f"/admin/batch-jobs/{waiting.id}/stream", headers=again).status_code == 204
    api.workspace.service.confirm(waiting.id, who="test")
    api.workspace.service.cancel(waiting.id, who="test")
    rest = Follower(alice, waiting.id, last=last["id"]).join()
    assert rest.names() == ["status", "status", "progress", "end"]
    api.workspace.service.cancel(job.id, who="test")


def test_a_browser_follows_by_a_link_that_is_good_for_what_its_maker_may_read(api: Served):
    alice, job = api.by("alice"), api.job("alice", Status.PROCESSING)
    link = alice.get(f"/admin/batch-jobs/{job.id}/stream-url").json()["stream_url"]
    with httpx.Client(verify=False) as nobody:
        follower = Follower(nobody, job.id, link=link)
        wait_until(lambda: "progress" in follower.names(), what="what there is")
        api.workspace.service.cancel(job.id, who="test")
        assert follower.join().names()[-1] == "end"

        altered = nobody.get(link[:-4] + "abcd")
        of_a_file = nobody.get(_download_link(api).replace("/files/", "/streams/").rsplit("/", 1)[0])
        api.workspace.api_keys.revoke("alice")
        revoked = nobody.get(link)

    assert [answer.status_code for answer in (altered, of_a_file, revoked)] == [403] * 3
    assert api.by("bob").get(f"/admin/batch-jobs/{job.id}/stream-url").status_code == 404


def test_a_stream_by_a_link_ends_when_the_key_of_its_maker_is_revoked(api: Served):
    job = api.job("root")
    link = api.by("vera").get(f"/admin/batch-jobs/{job.id}/stream-url").json()["stream_url"]
    with httpx.Client(verify=False) as nobody:
        follower = Follower(nobody, job.id, link=link)
        wait_until(lambda: bool(follower.events), what="the follower")

        api.workspace.api_keys.revoke("vera")

        assert follower.join().names() == ["status", "progress"]


def _download_link(api: Served) -> str:
    sent = api.by("alice").post("/admin/uploads", files=[("files", ("a.csv", b"a"))]).json()
    return str(sent["uploads"][0]["url"])


@pytest.mark.parametrize("last", ["nonsense", "-1", "9" * 40, "1.x", "1.ended", ".end", "' OR 1=1"])
def test_an_id_that_is_none_begins_at_the_beginning(shared: Served, last: str):
    job = shared.job("alice", Status.CANCELED)

    assert Follower(shared.by("alice"), job.id, last=last).join().names()[0] == "status"


def test_many_followers_of_one_job_cost_one_query_a_look(serve: Callable[..., Served], no_prefect: None):
    api = serve()
    job = api.job("alice")
    followers = [Follower(api.by("alice"), job.id) for _ in range(20)]
    wait_until(lambda: all(follower.events for follower in followers), what="all followers")
    looks: list[int] = []
    look = api.workspace.service.of_ids

    with _counted(api, looks):
        wait_until(lambda: len(looks) >= 3, what="three looks")

    assert set(looks) == {1}
    assert api.workspace.service.of_ids == look
    api.workspace.service.cancel(job.id, who="test")
    for follower in followers:
        follower.join()


@contextmanager
def _counted(api: Served, looks: list[int]) -> Iterator[None]:
    service = api.workspace.service
    of_ids = service.of_ids

    def counted(ids: Any) -> Any:
        looks.append(len(ids))
        return of_ids(ids)

    service.of_ids = counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        del service.of_ids  # type: ignore[method-assign]


def test_one_key_has_so_many_streams_and_no_more(
    serve: Callable[..., Served], no_prefect: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(job_stream, "MOST_STREAMS", 2)
    api = serve()
    job = api.job("alice")
    followers = [Follower(api.by("alice"), job.id) for _ in range(2)]
    wait_until(lambda: all(follower.events for follower in followers), what="both followers")

    refused = api.by("alice").get(f"/admin/batch-jobs/{job.id}/stream")

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert int(refused.headers["retry-after"]) > 0
    api.workspace.service.cancel(job.id, who="test")
    for follower in followers:
        follower.join()
    assert api.by("alice").get(f"/admin/batch-jobs/{job.id}/stream").status_code == 200


def test_a_stream_ends_when_its_key_is_revoked_and_those_of_other_keys_go_on(api: Served):
    job = api.job("root")
    revoked, kept = Follower(api.by("vera"), job.id), Follower(api.by("root"), job.id)
    wait_until(lambda: bool(revoked.events and kept.events), what="both followers")

    api.workspace.api_keys.revoke("vera")

    assert revoked.join().names() == ["status", "progress"]
    api.workspace.service.cancel(job.id, who="test")
    assert kept.join().names()[-1] == "end"
    assert api.by("vera").get(f"/admin/batch-jobs/{job.id}/stream").status_code == 401


def test_a_stream_of_a_key_of_the_settings_goes_on(serve: Callable[..., Served], no_prefect: None):
    api = serve(api_keys="ops:admin:a-key-of-the-settings")
    job, looks = api.job("alice"), list[int]()
    with httpx.Client(base_url=api.url, headers={"Authorization": "Bearer a-key-of-the-settings"}) as ops:
        follower = Follower(ops, job.id)
        with _counted(api, looks):
            wait_until(lambda: len(looks) >= 2, what="two looks")

        api.workspace.service.cancel(job.id, who="test")

        assert follower.join().names()[-1] == "end"


def test_a_stream_says_now_and_then_that_it_lives_and_ends_to_be_resumed(
    serve: Callable[..., Served], no_prefect: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stream, "QUIET_SECONDS", 0.05)
    monkeypatch.setattr(stream, "LONGEST_SECONDS", 0.5)
    api = serve()
    job = api.job("alice")

    answer = api.by("alice").get(f"/admin/batch-jobs/{job.id}/stream")

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert ": still here\n\n" in answer.text
    assert "event: end" not in answer.text


def test_a_stop_of_the_server_ends_streams_and_does_not_break_them_off(api: Served):
    job = api.job("alice")
    with httpx.Client(headers=api.by("alice").headers) as client:
        with serving(api.workspace) as url:
            client.base_url = httpx.URL(url)
            follower = Follower(client, job.id)
            wait_until(lambda: follower.names() == ["status", "progress"], what="what there is")

        assert follower.join().names() == ["status", "progress"]


def test_a_stream_that_begins_while_the_server_stops_ends_at_once(api: Served):
    job = api.job("alice")
    app = create_app(api.workspace)
    app.state.api.streams.close()

    async def follow() -> str:
        inside = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=inside, base_url=api.url, headers=api.by("alice").headers) as client:
            return (await client.get(f"/admin/batch-jobs/{job.id}/stream")).text

    assert asyncio.run(follow()) == "retry: 1000\n\n"
