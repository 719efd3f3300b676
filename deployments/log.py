"""The log of ``api`` and ``serve``: one line for each thing that happens, for people or as JSON.

No input can forge a line: whatever is not plain in a value is escaped, and a trace is indented.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from batch_jobs.flows.settings import LogFormat

#: Whose lines there are: ours, and those of the server that we run in.
LOGGERS = ("batch_jobs", "uvicorn")
PLAIN = re.compile(r"[\x21\x23-\x3c\x3e-\x7e]+")
#: What looks like a key, or like the token of a link, in a path that is of no route.
SECRET = re.compile(r"bj_[\w.-]*|[\w.%-]{48,}")
MASK = "***"
#: Statuses with which somebody was kept out.
REFUSED = (401, 403, 429)
LONGEST_PATH = 200

logger = logging.getLogger("batch_jobs.api")

_facts: ContextVar[dict[str, Any] | None] = ContextVar("facts", default=None)


def begin_facts() -> dict[str, Any]:
    """What is known of the request that this context answers; it becomes the request's line."""
    facts: dict[str, Any] = {}
    _facts.set(facts)
    return facts


def add_facts(**facts: Any) -> None:
    """Add to the line of the request that is being answered; nothing happens where there is none."""
    known = _facts.get()
    if known is not None:
        known.update(facts)


def log_request(facts: Mapping[str, Any]) -> None:
    """Write the line of a request that was answered."""
    status = facts["status"]
    level = logging.ERROR if status >= 500 else logging.WARNING if status in REFUSED else logging.INFO
    logger.log(level, "request", extra={"facts": facts})


def masked_path(path: str) -> str:
    """A path of no route as it may be logged: somebody may have put a key or a link's token into it."""
    return SECRET.sub(MASK, path[:LONGEST_PATH])


def start_log(log_format: LogFormat) -> None:
    """Write the log of this process to stderr from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATTERS[log_format]())
    for name in LOGGERS:
        root = logging.getLogger(name)
        root.handlers, root.propagate = [handler], False
    logging.getLogger("batch_jobs").setLevel(logging.INFO)


def speaker(log_format: LogFormat, say: Callable[[str], None]) -> Callable[[str], None]:
    """What prints for the person at the terminal, or for a program that reads nothing but JSON."""
    return say if log_format == "text" else logger.info


class LineFormatter(logging.Formatter):
    """For people: ``2026-01-31T12:00:00.000Z INFO request status=200 holder=shop``, a trace indented below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        pairs = " ".join(f"{name}={_value(value)}" for name, value in _content(record).items() if value is not None)
        return "\n    ".join([f"{_time(record)} {record.levelname} {pairs}", *map(_escaped, _trace(record))])


class JsonFormatter(logging.Formatter):
    """For programs: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        head = {"time": _time(record), "level": record.levelname.lower()}
        trace = _trace(record)
        return json.dumps({**head, **_content(record), **({"trace": trace} if trace else {})}, default=str)


FORMATTERS: Mapping[LogFormat, type[logging.Formatter]] = {"text": LineFormatter, "json": JsonFormatter}


def _content(record: logging.LogRecord) -> dict[str, Any]:
    facts: Mapping[str, Any] | None = getattr(record, "facts", None)
    if facts is not None:
        return {"event": record.getMessage(), **facts}
    return {"event": "message", "logger": record.name, "message": record.getMessage()}


def _trace(record: logging.LogRecord) -> list[str]:
    return logging.Formatter().formatException(record.exc_info).splitlines() if record.exc_info else []


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if PLAIN.fullmatch(text) else json.dumps(text)


def _escaped(line: str) -> str:
    return json.dumps(line)[1:-1].replace('\\"', '"')
