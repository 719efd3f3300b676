"""One trace from a request over its job and its Prefect run to the chunks, where OpenTelemetry's SDK is set up.

The spans need OpenTelemetry's API alone, and are nothing without an SDK. What joins them is W3C's ``traceparent``,
which is kept with the job; it says which trace, and lets nobody in anywhere.
"""

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.context import Context

#: The instrumentation's name in each of our spans.
NAME = "batch_jobs"
TRACEPARENT = "traceparent"
FLUSH_MS = 5_000


def start_tracing() -> None:
    """Set up the SDK in this process as OTEL_… variables say, where there are any and nothing set it up before.

    Processes of runs are started by ours and not by ``opentelemetry-instrument``.
    """
    if any(name.startswith("OTEL_") for name in os.environ) and not is_tracing():
        with suppress(ImportError):  # there is the API only
            from opentelemetry.instrumentation.auto_instrumentation import initialize

            initialize()


def is_tracing() -> bool:
    """Whether an SDK takes the spans of this process."""
    from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider

    return not isinstance(get_tracer_provider(), ProxyTracerProvider)


def flush_traces() -> None:
    """Wait until the spans of a process that ends are exported, some seconds at most."""
    trace = sys.modules.get("opentelemetry.trace")
    flush = getattr(trace.get_tracer_provider(), "force_flush", None) if trace else None
    if flush is not None:
        flush(FLUSH_MS)


def traceparent_of_new_job(job_id: str, batch_type: str) -> str | None:
    """Note in the trace that a job is made; returns what the job's later spans go on from, ``None`` without a trace."""
    if "opentelemetry.trace" not in sys.modules:  # nobody in this process has begun a trace
        return None
    from opentelemetry import propagate, trace

    attributes = {"batch_job.id": job_id, "batch_job.type": batch_type}
    span = trace.get_tracer(NAME).start_span(
        f"create {batch_type}", kind=trace.SpanKind.PRODUCER, attributes=attributes
    )
    carrier: dict[str, str] = {}
    propagate.inject(carrier, trace.set_span_in_context(span))
    span.end()
    return carrier.get(TRACEPARENT)


def context_of(traceparent: str | None) -> "Context | None":
    """Where a span belongs: below the one that is current here, else below that of the job."""
    from opentelemetry import propagate, trace

    if traceparent is None or trace.get_current_span().get_span_context().is_valid:
        return None
    return propagate.extract({TRACEPARENT: traceparent})
