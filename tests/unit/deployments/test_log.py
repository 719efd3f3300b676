"""Lines of the log: whatever is in them, none can be taken for another."""

import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batch_jobs.deployments.log import JsonFormatter, LineFormatter, add_facts, begin_facts, masked_path

FORGED = "a\n2026-01-31T12:00:00.000Z INFO event=request holder=root\r\x1b[2K\x85\u2028b"


def record(message: str, facts: dict[str, Any] | None = None) -> logging.LogRecord:
    made = logging.LogRecord("batch_jobs.api", logging.INFO, __file__, 1, message, (), None)
    if facts is not None:
        made.facts = facts
    return made


@given(st.text(st.characters(codec=None)))
@example(FORGED)
@example('" holder="root')
def test_no_value_begins_a_line_or_another_value(text: str):
    line = LineFormatter().format(record("request", {"route": text, "status": 404}))

    assert line.splitlines() == [line]
    assert line.isascii()
    assert line.isprintable()
    route, _, after = line.partition(" event=request route=")[2].rpartition(" status=")
    assert after == "404"
    assert route == text or json.loads(route) == text


@given(st.text(st.characters(codec=None)))
@example(FORGED)
def test_a_json_line_is_one_object_with_what_was_said(text: str):
    line = JsonFormatter().format(record("request", {"route": text}))

    assert line.splitlines() == [line]
    assert json.loads(line)["route"] == text


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
def test_a_trace_and_a_message_begin_no_line_of_their_own(formatter: logging.Formatter):
    failed = record(f"it failed: {FORGED}")
    try:
        raise ValueError(FORGED)
    except ValueError:
        failed.exc_info = sys.exc_info()

    first, *rest = formatter.format(failed).splitlines()

    assert "it failed" in first
    assert all(line.startswith("    ") for line in rest)
    assert sum("ValueError" in line for line in (first, *rest)) >= 1


@pytest.mark.parametrize(
    "path",
    [
        "/files/WyJ1cGxvYWRzLzAxS0IzVjVXN1E5TTRUOFIyWVhHWk42SDFDIiwia2V5Il0.aRxYzQ.kq3b5Zk0eJw",
        "/admin/bj_abcdefghijklmnopqrstuvwxyz0123456789-_ABCDEF",
        "/bj_short",
    ],
)
def test_a_path_of_no_route_shows_neither_key_nor_link(path: str):
    secret = path.rsplit("/", 1)[-1]

    assert secret[:20] not in masked_path(path)
    assert masked_path("/admin/batch-job/batch_01KB3V5W7Q9M4T8R2YXGZN6H1C") == (
        "/admin/batch-job/batch_01KB3V5W7Q9M4T8R2YXGZN6H1C"
    )


def test_facts_are_those_of_the_request_that_is_answered():
    first = begin_facts()
    add_facts(holder="alice")
    second = begin_facts()
    add_facts(holder="bob")

    assert (first, second) == ({"holder": "alice"}, {"holder": "bob"})
