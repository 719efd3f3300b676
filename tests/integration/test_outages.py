"""Prefect's observers while it is away."""

import asyncio
import logging

import httpx
import pytest
from prefect._internal import observers
from prefect.settings import PREFECT_API_URL, temporary_settings

from batch_jobs.deployments.worker import prefect_outage
from batch_jobs.deployments.worker.prefect_outage import (
    COMPLAINING,
    OBSERVERS,
    ask_on,
    in_a_line,
    is_no_complaint,
    outlive_outages,
    tell_outages,
)
from batch_jobs.flows.errors import PrefectAway
from support.servers import free_port

MANY = 7  # Prefect's own observer gives up after six


@pytest.fixture
def outliving(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(observers, "critical_service_loop", observers.critical_service_loop)  # put back at the end
    monkeypatch.setattr(logging, "raiseExceptions", True)
    outlive_outages()
    yield
    for name in (*OBSERVERS, *COMPLAINING):
        logging.getLogger(name).removeFilter(in_a_line)
        logging.getLogger(name).removeFilter(is_no_complaint)


def test_cancellations_are_asked_for_until_prefect_is_back(outliving: None):
    given_up: list[object] = []
    asked = 0

    async def watch() -> None:
        nonlocal asked
        observer = observers.FlowRunCancellingObserver(
            on_cancelling=lambda _: None, polling_interval=0.01, on_failure=given_up.append
        )
        ask = observer._check_for_cancelled_flow_runs

        async def _check_for_cancelled_flow_runs() -> None:
            nonlocal asked
            asked += 1
            await ask()

        observer._check_for_cancelled_flow_runs = _check_for_cancelled_flow_runs
        async with observer:
            while asked < MANY:
                assert not given_up
                await asyncio.sleep(0.01)

    nowhere = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: nowhere}):
        asyncio.run(asyncio.wait_for(watch(), 60))
    assert not given_up


def test_being_cancelled_is_no_error():
    async def cancelled() -> asyncio.Task[None]:
        task = asyncio.create_task(ask_on(lambda: asyncio.sleep(0), 60))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task

    task = asyncio.run(cancelled())
    assert not task.cancelled()
    assert task.exception() is None


def test_a_trace_is_told_in_a_line(outliving: None, caplog: pytest.LogCaptureFixture):
    try:
        raise LookupError("nothing is there")
    except LookupError:
        logging.getLogger(OBSERVERS[0]).warning("The %s websocket failed.", "observer's", exc_info=True)
    (record,) = caplog.records
    assert record.getMessage() == "The observer's websocket failed. nothing is there"
    assert record.exc_info is None


def test_that_prefect_is_away_is_told_by_nobody_else_and_all_else_is(outliving: None, caplog: pytest.LogCaptureFixture):
    away = httpx.ConnectError("nobody answers")
    logging.getLogger("prefect.events.clients").warning("Unable to connect to %r. Reason: %s", "ws://", "refused")
    logging.getLogger("prefect._internal.concurrency").error("Service %r failed to process item %r", "Events", "…")
    logging.getLogger("EventsWorker").warning("Still processing items: 1 items remaining...")
    logging.getLogger("batch_jobs.api").warning("jobs wait: %s", PrefectAway("it does not answer"))
    for error in (away, OSError("the disk is full")):
        logging.getLogger("batch_jobs.flows.prefect.upkeep").warning(
            "%s failed and is tried again: %s", "publish", error
        )
    assert [record.getMessage() for record in caplog.records] == ["publish failed and is tried again: the disk is full"]


def test_prefect_is_told_to_be_away_once_and_once_to_be_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prefect_outage, "LOOK_SECONDS", 0)
    answers, said = iter([True, False, False, False, True, True]), []

    async def answer(*_: object) -> bool:
        return next(answers)

    monkeypatch.setattr(prefect_outage, "_answers", answer)
    with pytest.raises(RuntimeError):  # what StopIteration is turned into
        asyncio.run(tell_outages("", said.append))
    assert said == ["Prefect does not answer; it is told later what became of jobs", "Prefect answers again"]
