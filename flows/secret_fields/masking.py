"""Keeping the secrets of a context out of what Prefect is told of its run: the log, and the error that ends it."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from batch_jobs.flows.secret_fields.contexts import OpenedContext
from batch_jobs.strategies.sdk.errors import BatchJobError, StopRequested, Superseded

#: Where ``job.logger`` writes, and Prefect beside it.
LOGS = ("prefect.flow_runs", "prefect.task_runs")


class SecretInError(BatchJobError):
    """Stands in for an error whose text or trace shows a secret; ``original`` is that error."""

    def __init__(self, original: Exception, told: str) -> None:
        self.original = original
        super().__init__(f"{type(original).__name__}: {told}")


@contextmanager
def hidden_in_errors(opened: OpenedContext) -> Iterator[None]:
    """Let no error out of the block that shows a secret.

    Raises:
        SecretInError: in place of one that does.
    """
    try:
        yield
    except (StopRequested, Superseded):  # no failures, and what is done with them goes by their class
        raise
    except Exception as error:
        trace = "".join(traceback.format_exception(error)) if opened.hidden else ""
        if opened.without_secrets(trace) == trace:
            raise
        raise SecretInError(error, opened.without_secrets(str(error))) from None


def original(error: BaseException) -> BaseException:
    """The error as it was raised."""
    return error.original if isinstance(error, SecretInError) else error


@contextmanager
def hidden_in_log(opened: OpenedContext) -> Iterator[None]:
    """Let nothing that is logged while the block runs show a secret."""
    hiding = _Hiding(opened)
    logs = [logging.getLogger(name) for name in LOGS] if opened.hidden else []
    for log in logs:
        log.addFilter(hiding)
    try:
        yield
    finally:
        for log in logs:
            log.removeFilter(hiding)


class _Hiding(logging.Filter):
    def __init__(self, opened: OpenedContext) -> None:
        super().__init__()
        self._opened = opened

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._opened.without_secrets(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = self._opened.without_secrets(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True
