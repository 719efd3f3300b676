"""Masking the secrets of a run's context wherever it reports: its row, its log, and the error that ends it."""

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from batch_jobs.strategies.sdk.errors import BatchJobError, StopRequested, Superseded

MASK = "**********"
SHORTEST_MASKED = 4  # characters; to mask a shorter secret wherever it occurs would make texts unreadable
#: Where ``job.logger`` writes, and Prefect beside it.
LOGS = ("prefect.flow_runs", "prefect.task_runs")


class OpenedContext:
    """A context with its secrets in place, and the means to report nothing of them.

    Args:
        values: the context, its secrets included.
        secrets: those secrets.
    """

    def __init__(self, values: dict[str, Any], secrets: Sequence[str] = ()) -> None:
        self.values = values
        # the longest first: one may be a part of another
        self._masked = sorted({one for one in secrets if len(one) >= SHORTEST_MASKED}, key=len, reverse=True)

    def masked(self, value: Any) -> Any:
        """A copy of a JSON value whose texts show no secret."""
        if not self._masked:
            return value
        if isinstance(value, str):
            return self._masked_text(value)
        if isinstance(value, Mapping):
            return {key: self.masked(part) for key, part in value.items()}
        return [self.masked(part) for part in value] if isinstance(value, list) else value

    @contextmanager
    def masking_errors(self) -> Iterator[None]:
        """Let no error out of the block that shows a secret.

        Raises:
            SecretInError: in place of one that does.
        """
        try:
            yield
        except (StopRequested, Superseded):  # no failures, and what is done with them goes by their class
            raise
        except Exception as error:
            trace = "".join(traceback.format_exception(error)) if self._masked else ""
            if self.masked(trace) == trace:
                raise
            raise SecretInError(error, self.masked(str(error))) from None

    @contextmanager
    def masking_logs(self) -> Iterator[None]:
        """Let nothing that is logged while the block runs show a secret."""
        masking = _Masking(self)
        logs = [logging.getLogger(name) for name in LOGS] if self._masked else []
        for log in logs:
            log.addFilter(masking)
        try:
            yield
        finally:
            for log in logs:
                log.removeFilter(masking)

    def _masked_text(self, text: str) -> str:
        for secret in self._masked:
            text = text.replace(secret, MASK)
        return text


class SecretInError(BatchJobError):
    """Stands in for an error whose text or trace shows a secret; ``original`` is that error."""

    def __init__(self, original: Exception, masked_text: str) -> None:
        self.original = original
        super().__init__(f"{type(original).__name__}: {masked_text}")


def original(error: BaseException) -> BaseException:
    """The error as it was raised, before it was masked."""
    return error.original if isinstance(error, SecretInError) else error


class _Masking(logging.Filter):
    def __init__(self, opened: OpenedContext) -> None:
        super().__init__()
        self._opened = opened

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._opened.masked(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = self._opened.masked(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True
