"""Prefect's observers while it is away."""

import asyncio
import logging

import pytest
from prefect._internal import observers
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.outages import LOGGERS, ask_on, in_a_line, outlive_outages
from support.servers import free_port

MANY = 7  # Prefect's own observer gives up after six


@pytest.fixture
def outliving(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(observers, "critical_service_loop", observers.critical_service_loop)  # put back at the end
    outlive_outages()
    yield
    for name in LOGGERS:
        logging.getLogger(name).removeFilter(in_a_line)


def test_cancellations_are_asked_for_until_prefect_is_back(outliving: None, caplog: pytest.LogCaptureFixture):
    given_up: list[object] = []
    failed = "_check_for_cancelled_flow_runs failed and is tried again"

    async def watch() -> None:
        observer = observers.FlowRunCancellingObserver(
            on_cancelling=lambda _: None, polling_interval=0.01, on_failure=given_up.append
        )
        async with observer:
            while sum(failed in record.getMessage() for record in caplog.records) < MANY:
                assert not given_up
                await asyncio.sleep(0.01)

    nowhere = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: nowhere}), caplog.at_level(logging.DEBUG, logger="flows.upkeep"):
        asyncio.run(asyncio.wait_for(watch(), 60))
    assert not given_up
    assert [record.levelname for record in caplog.records if failed in record.getMessage()][:2] == ["WARNING", "DEBUG"]


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
        raise ConnectionRefusedError(111, "Connect call failed")
    except OSError:
        logging.getLogger(LOGGERS[0]).warning("The %s websocket failed.", "observer's", exc_info=True)
    (record,) = caplog.records
    assert record.getMessage() == "The observer's websocket failed. [Errno 111] Connect call failed"
    assert record.exc_info is None
