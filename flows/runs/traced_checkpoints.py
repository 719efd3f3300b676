"""Each chunk of a run as a span of the job's trace."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from sqlalchemy import Connection

from batch_jobs.flows.tracing import NAME, context_of
from batch_jobs.strategies.sdk.checkpoint import Checkpoint, CheckpointStore


class TracedCheckpoints(CheckpointStore):
    """A checkpoint whose chunks are spans; ``traceparent`` is that of the job, for where no span is current."""

    traceparent: str | None = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction on the target, as a span; raises as that of ``CheckpointStore`` does."""
        tracer = trace.get_tracer(NAME)
        with tracer.start_as_current_span("chunk", context_of(self.traceparent)), super().transaction() as connection:
            yield connection

    def save(self, connection: Connection, checkpoint: Checkpoint) -> None:
        """Write the checkpoint in the chunk's own transaction, and its number and rows into the span."""
        span = trace.get_current_span()
        span.set_attribute("batch_job.chunk", checkpoint.chunk_number)
        span.set_attribute("batch_job.rows", checkpoint.counters.advanced)
        super().save(connection, checkpoint)
