"""What is said while Prefect is away."""

import asyncio
import logging

import httpx
import pytest

from batch_jobs.deployments.worker import prefect_outage
from batch_jobs.deployments.worker.prefect_outage import (
    COMPLAINING,
    OBSERVERS,
    in_a_line,
    is_no_complaint,
    quieten_outages,
    report_outages,
)
from batch_jobs.flows.errors import PrefectAway


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logging, "raiseExceptions", True)
    quieten_outages()
    yield
    for name in (*OBSERVERS, *COMPLAINING):
        logging.getLogger(name).removeFilter(in_a_line)
        logging.getLogger(name).removeFilter(is_no_complaint)


def test_a_trace_is_told_in_a_line(quiet: None, caplog: pytest.LogCaptureFixture):
    try:
        raise LookupError("nothing is there")
    except LookupError:
        logging.getLogger(OBSERVERS[0]).warning("The %s websocket failed.", "observer's", exc_info=True)
    (record,) = caplog.records
    assert record.getMessage() == "The observer's websocket failed. nothing is there"
    assert record.exc_info is None


def test_that_prefect_is_away_is_told_by_nobody_else_and_all_else_is(quiet: None, caplog: pytest.LogCaptureFixture):
    away = httpx.ConnectError("nobody answers")
    logging.getLogger("prefect.events.clients").warning("Unable to connect to %r. Reason: %s", "ws://", "refused")
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
        asyncio.run(report_outages("", said.append))
    assert said == ["Prefect does not answer; it is told later what became of jobs", "Prefect answers again"]
