"""A Prefect whose database is busy for a moment is asked again at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from batch_jobs.flows.prefect import quick_retry
from batch_jobs.flows.prefect.quick_retry import PAUSES, QuickRetry

Answer = tuple[int, dict[str, str]]
BUSY: Answer = (503, {})
WELL: Answer = (201, {})


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_retry, "PAUSES", (0.0,) * len(PAUSES))


@contextmanager
def server(answer: Callable[[int], Answer]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives its n-th request the n-th answer; yields its address and the bodies it got."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            status, headers = answer(len(bodies))
            self.send_response(status)
            for name, value in {**headers, "content-length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", bodies
        running.shutdown()
        thread.join()


def post(address: str) -> int:
    with httpx.Client(transport=QuickRetry()) as client:
        return client.post(address, json={"a": 1}).status_code


def test_it_is_asked_with_the_same_body_until_it_is_not_busy():
    with server(lambda count: BUSY if count < 3 else WELL) as (address, bodies):
        assert post(address) == 201
    assert len(bodies) == 3
    assert set(bodies) == {b'{"a":1}'}


def test_one_that_stays_busy_is_left_to_prefects_own_client():
    with server(lambda _: BUSY) as (address, bodies):
        assert post(address) == 503
    assert len(bodies) == len(PAUSES) + 1


def test_one_that_says_when_to_come_again_is_not_asked_before():
    with server(lambda _: (503, {"retry-after": "30"})) as (address, bodies):
        assert post(address) == 503
    assert len(bodies) == 1
