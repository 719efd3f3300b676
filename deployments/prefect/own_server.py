"""The Prefect server that is started here (``python -m batch_jobs.deployments.prefect.own_server PORT``).

Prefect asks for the auth string of its settings; beyond that, this one answers only where it is called by its own name
(else a foreign name that leads to this machine makes a foreign page one of its own), and no page of another origin.
"""

import ctypes
import signal
import sys
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse

from batch_jobs.deployments.prefect.server import HOST, NAMES, own_origins

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PR_SET_PDEATHSIG = 1


class OwnPagesOnly:
    """Refuses what a page of another origin asks, and lets none show a page of ours in a frame.

    A browser names the origin of the page that asks, also where it opens a websocket; other clients name none.

    Args:
        app: what is protected.
        origins: of its own pages.
    """

    def __init__(self, app: "ASGIApp", origins: list[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one request or websocket."""

        async def send_unframed(message: "Message") -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-frame-options"] = "DENY"
            await send(message)

        if scope["type"] in ("http", "websocket"):
            origin = Headers(scope=scope).get("origin")
            if origin is not None and origin not in self._origins:
                refusal = PlainTextResponse("pages of other origins are refused", status_code=403)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send_unframed)


def closed(app: "ASGIApp", port: int) -> "ASGIApp":
    """The application as it is to be had from this machine's own pages and programs only."""
    return TrustedHostMiddleware(OwnPagesOnly(app, own_origins(port)), allowed_hosts=NAMES, www_redirect=False)


def main(port: int) -> None:
    """Serve until SIGTERM, or the end of the thread that started this process.

    A server that outlives the command which started it would keep its port for good. On Linux the kernel ends it;
    elsewhere only an orderly end of the command does.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    server = get_current_settings().server
    uvicorn.run(
        closed(create_app(final=True), port),
        host=HOST,
        port=port,
        timeout_keep_alive=server.api.keepalive_timeout,
        ws_ping_interval=server.api.websocket_ping_interval,
        ws_ping_timeout=server.api.websocket_ping_timeout,
        log_level=server.logging_level.lower(),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
