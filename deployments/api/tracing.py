"""Each request as a span, the root of a trace or a part of its caller's."""

from collections.abc import MutableMapping
from typing import Any

from opentelemetry import propagate, trace
from starlette.datastructures import Headers

from batch_jobs.deployments.api.middleware import Asgi, Message, Receive, Send
from batch_jobs.flows.tracing import NAME


class TraceMiddleware:
    """Wraps the application where an SDK takes spans.

    Attributes are OpenTelemetry's for HTTP servers; neither path nor query, which may be a permission.
    """

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, caller = scope["method"], propagate.extract(Headers(scope=scope))
        tracer = trace.get_tracer(NAME)
        with tracer.start_as_current_span(method, caller, trace.SpanKind.SERVER) as span:

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            span.set_attribute("http.request.method", method)
            await self._app(scope, receive, send_noted)
            route = getattr(scope.get("route"), "path", None)
            if route:
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
            span.set_attribute("batch_jobs.request_id", scope["state"]["request_id"])
