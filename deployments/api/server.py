"""Listening: the API as a server of its own, or as a part of another's event loop."""

import asyncio
import gc
import ipaddress
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from batch_jobs.deployments.api.app import create_app
from batch_jobs.deployments.api.connection_limits import LimitedConfig, LimitedProtocol
from batch_jobs.deployments.errors import AddressTaken, OpenToAll
from batch_jobs.deployments.hangup import outlive_terminal
from batch_jobs.deployments.log import start_log
from batch_jobs.flows.access.keys import keys_of_setting
from batch_jobs.flows.tracing import start_tracing
from batch_jobs.flows.workspace import Workspace

STOP_SECONDS = 5
MOST_CONNECTIONS = 1000
LEAST_PER_ADDRESS = 50  # connections of one address, where it is not set
BACKLOG = 256
#: Open files that are asked for, and those of them that are none of connections: databases, uploads on their way.
FILES, OTHER_FILES = 4096, 200

Say = Callable[[str], None]


class StreamingServer(uvicorn.Server):
    """A server that waits at its end for no stream: their clients go on elsewhere."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then wait for what is still answered."""
        app: Any = self.config.app
        app.state.api.streams.close()
        await super().shutdown(sockets)


class ApiServer(StreamingServer):
    """One that leaves signals to whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them all."""
        yield


async def serve_api(workspace: Workspace, say: Say) -> None:
    """Serve the API until canceled, and then close in order.

    Raises:
        OpenToAll: it would listen beyond this machine and there is no key.
        AddressTaken: somebody listens there already, or the host is not this machine's.
        SettingWrong: a setting of the API cannot be used.
    """
    with await asyncio.to_thread(listen, workspace) as listening:
        server = ApiServer(config(workspace))
        say(f"API          {address(listening)}")
        serving = asyncio.create_task(server.serve([listening]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving


def run_api(workspace: Workspace, say: Say) -> None:
    """Serve the API until Ctrl-C, SIGTERM or the end of the terminal; raises as ``serve_api`` does."""
    start_log(workspace.settings.log_format)
    start_tracing()
    with listen(workspace) as listening:
        server = StreamingServer(config(workspace))
        say(f"serving the API at {address(listening)}, Ctrl-C stops")
        gc.freeze()  # a full collection goes through all of pandas and Prefect, and every request waits 140 ms for it
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        outlive_terminal()
        with suppress(KeyboardInterrupt):
            server.run([listening])  # which closes in order, and then lets the signal through
        say("stopped")


def config(workspace: Workspace) -> uvicorn.Config:
    """How uvicorn serves the API."""
    files = _open_files()
    backlog = min(BACKLOG, files // 16)
    most = _most_connections(files, backlog)
    return LimitedConfig(
        create_app(workspace),
        per_address=workspace.settings.api_connections_per_address or max(LEAST_PER_ADDRESS, most // 2),
        http=LimitedProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        limit_concurrency=most,
        backlog=backlog,
        timeout_graceful_shutdown=STOP_SECONDS,
        proxy_headers=False,
    )


def listen(workspace: Workspace) -> socket.socket:
    """A socket at API_HOST and API_PORT; raises as ``serve_api`` does."""
    settings = workspace.settings
    has_key = workspace.api_keys.any() or bool(keys_of_setting(settings.api_keys.get_secret_value()))
    try:
        found = socket.getaddrinfo(settings.api_host, settings.api_port, type=socket.SOCK_STREAM)
        family, _, _, _, place = found[0]
        if not has_key and not _is_loopback(str(place[0])):
            raise OpenToAll(settings.api_host)
        return _bound(family, place)
    except OSError as error:
        reason = error.strerror or str(error)
        raise AddressTaken(settings.api_host, settings.api_port, reason) from None


def address(listening: socket.socket) -> str:
    """Where a socket listens, as an address to open."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _bound(family: int, place: Any) -> socket.socket:
    # asyncio turns Nagle's delay off only for what is said to be TCP; with it an answer waits 40 ms for its body
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening


def _open_files() -> int:
    """How many files this process may have open; the soft limit is raised where it is lower than it need be."""
    allowed, most_allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return FILES
    if allowed < FILES:
        allowed = FILES if most_allowed == resource.RLIM_INFINITY else min(FILES, most_allowed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most_allowed))
    return allowed


def _most_connections(files: int, backlog: int) -> int:
    """How many connections are served at once; as many more are let in to be refused.

    The event loop that cannot accept a connection for want of open files does nothing but say so. It accepts as many as
    the backlog holds at a time, and some more before those are seen here.
    """
    return min(MOST_CONNECTIONS, max(10, (files - OTHER_FILES - 3 * backlog) // 2))


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.split("%")[0]).is_loopback
