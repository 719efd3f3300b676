"""Each chunk of a run as a span of the job's trace."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from sqlalchemy import Connection

from batch_jobs.flows.tracing import NAME, context_of
from batch_jobs.strategies.sdk.checkpoint import Checkpoint, Checkpoints
from batch_jobs.strategies.sdk.result import Counters


class TracedCheckpoints:
    """A checkpoint whose chunks are spans.

    Args:
        checkpoints: of the job or of a partition.
        traceparent: that of the job, for where no span is current.
    """

    def __init__(self, checkpoints: Checkpoints, traceparent: str | None) -> None:
        self._checkpoints = checkpoints
        self._traceparent = traceparent

    def take(self) -> Checkpoint:
        """Take the right to write and return where the work stands."""
        return self._checkpoints.take()

    def load(self) -> Checkpoint:
        """Return where the work stands; reads only."""
        return self._checkpoints.load()

    def elsewhere(self) -> Counters:
        """What the job's other partitions have counted so far."""
        return self._checkpoints.elsewhere()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction on the target, as a span."""
        tracer = trace.get_tracer(NAME)
        with (
            tracer.start_as_current_span("chunk", context_of(self._traceparent)),
            self._checkpoints.transaction() as connection,
        ):
            yield connection

    def save(self, connection: Connection, checkpoint: Checkpoint) -> None:
        """Write the checkpoint in the chunk's own transaction, and its number and rows into the span."""
        span = trace.get_current_span()
        span.set_attribute("batch_job.chunk", checkpoint.chunk_number)
        span.set_attribute("batch_job.rows", checkpoint.counters.advanced)
        self._checkpoints.save(connection, checkpoint)
