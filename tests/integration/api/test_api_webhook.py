"""The end of each job told to an address outside: signed, tried again, never lost."""

import base64
import contextlib
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import standardwebhooks
from sqlalchemy import Engine, select, update

from batch_jobs.deployments.api import webhook
from batch_jobs.flows.errors import SettingWrong
from batch_jobs.flows.jobs.outbox import SETTLED, CompletionOutbox
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.table import batch_job_delivery, batch_job_delivery_position, batch_job_event
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.api_server import Served
from support.jobs import job_in
from support.servers import wait_until

SECRET = "the-webhook-secret"


class Receiver:
    """Takes what is told, or answers as it is asked to."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int | bytes] = []
        self.closed = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                answer = receiver.answers.pop(0) if receiver.answers else 200
                if isinstance(answer, bytes):
                    self._drip(answer)
                    return
                self.send_response(answer)
                self.end_headers()

            def _drip(self, beginning: bytes) -> None:
                """Begin an answer and never end it, though there is always more of it."""
                self.close_connection = True
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(beginning)
                    while not receiver.closed.wait(0.02):
                        self.wfile.write(b"X-More: 1\r\n")

            def log_message(self, *given: Any) -> None:
                """Be quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/told"

    def told(self) -> list[tuple[str, str]]:
        return [
            (message["type"], message["data"]["batch_job"]["id"])
            for message in (json.loads(body) for _, body in list(self.got))
        ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    yield receiver
    receiver.closed.set()
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


@pytest.fixture
def told_api(serve: Callable[..., Served], no_prefect: None, receiver: Receiver) -> Served:
    return serve(webhook_url=receiver.url, webhook_secret=SECRET)


def test_every_end_is_told_once_with_a_signature_that_can_be_checked(told_api: Served, receiver: Receiver):
    jobs = {status: told_api.job("alice", status) for status in (Status.COMPLETED, Status.FAILED, Status.CANCELED)}
    told_api.job("alice", Status.PROCESSING)

    wait_until(lambda: len(receiver.got) >= 3, what="three messages")

    assert sorted(receiver.told()) == sorted((f"batch-job.{status}", job.id) for status, job in jobs.items())
    for headers, body in receiver.got:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert "hunter2" not in body.decode()


@pytest.mark.parametrize(
    "secret", ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ", SECRET], ids=["written", "unpadded", "text"]
)
def test_a_delivery_is_verified_by_the_library_of_standard_webhooks(
    serve: Callable[..., Served], no_prefect: None, receiver: Receiver, secret: str
):
    api = serve(webhook_url=receiver.url, webhook_secret=secret)
    job = api.job("alice", Status.COMPLETED)
    wait_until(lambda: bool(receiver.got), what="the message")
    headers, body = receiver.got[0]
    key = secret if secret.startswith("whsec_") else secret.encode()

    assert standardwebhooks.Webhook(key).verify(body, headers)["data"]["batch_job"]["id"] == job.id
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(key).verify(body + b" ", headers)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64"])
def test_a_secret_that_only_looks_like_one_is_refused(home: Any, secret: str):
    settings = Settings(home=home, webhook_url="http://127.0.0.1:1", webhook_secret=secret)

    with pytest.raises(SettingWrong, match="BATCH_JOBS_WEBHOOK_SECRET: after whsec_ there has to be a key in base64"):
        webhook.WebhookSender.of(Workspace(settings))


def test_what_is_not_taken_is_told_again_under_the_same_id(
    told_api: Served, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(webhook, "PAUSES", (timedelta(0),) * 5)
    receiver.answers = [500, 302, 404]
    told_api.job("alice", Status.COMPLETED)

    wait_until(lambda: len(receiver.got) >= 4, what="the fourth try")

    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len({body for _, body in receiver.got}) == 1
    wait_until(lambda: _deliveries(told_api.workspace.jobs)[0].delivered_at is not None, what="its note")


def test_an_answer_whose_body_does_not_end_is_one(told_api: Served, receiver: Receiver):
    receiver.answers = [b"HTTP/1.1 200 OK\r\n\r\n"]
    first = told_api.job("alice", Status.COMPLETED)
    wait_until(lambda: len(receiver.got) == 1, what="the first message")
    second = told_api.job("alice", Status.FAILED)

    wait_until(lambda: len(receiver.got) == 2, what="the second message")

    assert receiver.told() == [("batch-job.completed", first.id), ("batch-job.failed", second.id)]
    wait_until(lambda: _all_delivered(told_api.workspace.jobs, 2), what="their notes")


def test_an_answer_that_drips_is_given_up_and_holds_no_other_up(
    serve: Callable[..., Served],
    no_prefect: None,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(webhook, "PAUSES", (timedelta(0),) * 50)
    api = serve(webhook_url=receiver.url, webhook_secret=SECRET)
    receiver.answers = [b"HTTP/1.1 200 OK\r\n"]
    first = api.job("alice", Status.COMPLETED)
    wait_until(lambda: len(receiver.got) == 1, what="the first message")
    api.job("alice", Status.FAILED)

    wait_until(lambda: _all_delivered(api.workspace.jobs, 2), what="both messages, the first one by another try")

    assert f"webhook for {first.id} failed: no answer in 0.5 s" in caplog.text


def test_what_is_never_taken_is_given_up_and_kept_with_its_error(
    told_api: Served, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(webhook, "PAUSES", (timedelta(0),))
    receiver.answers = [500] * 9
    told_api.job("alice", Status.COMPLETED)

    wait_until(lambda: any(row.next_at is None for row in _deliveries(told_api.workspace.jobs)), what="giving up")

    (row,) = _deliveries(told_api.workspace.jobs)
    assert (row.attempts, row.error, row.delivered_at) == (2, "it answered 500", None)
    assert len(receiver.got) == 2


def test_an_end_while_the_api_is_down_is_told_when_it_is_back(
    serve: Callable[..., Served], no_prefect: None, receiver: Receiver
):
    settings = Settings(webhook_url=receiver.url, webhook_secret=SECRET)
    given = {"webhook_url": settings.webhook_url, "webhook_secret": SECRET}
    first = serve()
    assert webhook.WebhookSender.of(Workspace(first.workspace.settings.model_copy(update=dict(settings)))) is not None
    job = first.job("alice", Status.COMPLETED)  # nobody tells it: this API has no webhook

    serve(**given)

    wait_until(lambda: receiver.told() == [("batch-job.completed", job.id)], what="the message")


def _deliveries(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(batch_job_delivery).order_by(batch_job_delivery.c.event_id)))


def _all_delivered(engine: Engine, count: int) -> bool:
    rows = _deliveries(engine)
    return len(rows) == count and all(row.delivered_at for row in rows)


def test_what_ended_before_the_webhook_was_set_is_not_told(store: JobStore, target: Engine):
    job_in(store, Status.COMPLETED)
    outbox = CompletionOutbox(target)
    outbox.open()
    later = job_in(store, Status.FAILED)

    outbox.collect()
    outbox.open()

    assert [delivery.job_id for delivery in outbox.take()] == [later.id]


def test_two_tellers_never_have_one_delivery_at_once_and_one_that_died_loses_none(
    store: JobStore, target: Engine, monkeypatch: pytest.MonkeyPatch
):
    outbox, other = CompletionOutbox(target), CompletionOutbox(target)
    outbox.open()
    for _ in range(3):
        job_in(store, Status.COMPLETED)
    outbox.collect()
    other.collect()

    taken = outbox.take()
    assert len(taken) == 3
    assert other.take() == []

    with target.begin() as connection:  # a minute later, and nobody told that it was done
        connection.execute(update(batch_job_delivery).values(next_at=datetime.now(UTC)))
    assert [delivery.attempts for delivery in other.take()] == [2, 2, 2]


def test_the_position_follows_what_is_settled_and_told_deliveries_before_it_are_forgotten(
    store: JobStore, target: Engine
):
    outbox = CompletionOutbox(target)
    outbox.open()
    old = job_in(store, Status.COMPLETED)
    outbox.collect()
    for delivery in outbox.take():
        outbox.done(delivery.event_id)
    with target.begin() as connection:
        long_ago = datetime.now(UTC) - SETTLED - timedelta(minutes=1)
        connection.execute(update(batch_job_event).values(at=long_ago))
    new = job_in(store, Status.COMPLETED)

    outbox.collect()
    outbox.collect()

    with target.connect() as connection:
        reached = connection.scalar(select(batch_job_delivery_position.c.event_id))
    assert reached == store.events(old.id)[-1].id
    assert [row.event_id for row in _deliveries(target)] == [store.events(new.id)[-1].id]


def test_a_webhook_without_a_secret_is_refused(home: Any):
    with pytest.raises(SettingWrong, match="BATCH_JOBS_WEBHOOK_SECRET: it is needed with WEBHOOK_URL"):
        webhook.WebhookSender.of(Workspace(Settings(home=home, webhook_url="http://127.0.0.1:1")))
