"""Whether a request is of the person who works at this machine, which is asked where no key is set."""

import ipaddress
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request

from batch_jobs.deployments.api.links import HOST
from batch_jobs.flows.settings import Settings

#: How headers begin that a proxy in between adds; one who came through it does not sit here.
FORWARDED = ("forwarded", "x-forwarded", "x-real-ip", "x-client-ip", "x-original-", "x-envoy-", "cf-", "true-client-ip")
BY_A_PROXY = ("via", "client-ip", "x-cluster-client-ip", "fastly-client-ip", "x-amzn-trace-id", "cdn-loop")
#: What Linux knows of each connection; the columns are read in ``_user_of``.
CONNECTIONS = {socket.AF_INET: Path("/proc/net/tcp"), socket.AF_INET6: Path("/proc/net/tcp6")}
LOCAL, REMOTE, USER = 1, 2, 7
ROOT = 0


def sits_at_this_machine(request: Request, settings: Settings) -> bool:
    """Whether a request comes from this machine itself, of this process's user, to an API that only it reaches.

    Its ``Host`` has to say so too: a page elsewhere may give its own name this machine's address. A proxy that hides
    that it is one and names this machine as ``Host`` cannot be told from a browser, but for the version that it speaks
    (nginx: HTTP/1.0), the page that it was asked from, and API_PUBLIC_URL, which is set for those behind it.
    """
    host = HOST.fullmatch(request.headers.get("host", ""))
    public = urlsplit(settings.api_public_url).hostname
    here = (
        settings.api_host,
        request.client.host if request.client else "",
        host[1].strip("[]") if host else "",
        *([public] if public else []),
    )
    return (
        all(map(_is_loopback, here))
        and request.scope["http_version"] != "1.0"
        and not any(name.startswith(FORWARDED) or name in BY_A_PROXY for name in request.headers)
        and _is_asked_from(request, host[0] if host else "")
        and _is_of_this_user(request)
    )


def _is_asked_from(request: Request, host: str) -> bool:
    """Whether the page of ours that a browser asks from, where it says so, was had by the name that it asks for."""
    if request.headers.get("sec-fetch-site") not in (None, "same-origin"):
        return True
    shown = [request.headers[name] for name in ("origin", "referer") if name in request.headers]
    return all(page.partition("://")[2].partition("/")[0] == host for page in shown)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_of_this_user(request: Request) -> bool:
    """Whether the other end of the connection is of the user who runs this, or of root, where the system says that."""
    client, server = request.scope.get("client"), request.scope.get("server")
    if not client or not server:
        return False
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    try:
        lines = CONNECTIONS[family].read_text().splitlines()[1:]
    except OSError:
        return True
    user = _user_of(lines, _as_listed(family, *client[:2]), _as_listed(family, *server[:2]))
    return user in (os.getuid(), ROOT)


def _user_of(lines: list[str], local: str, remote: str) -> int | None:
    for line in lines:
        if local in line:
            fields = line.split()
            if fields[LOCAL] == local and fields[REMOTE] == remote:
                return int(fields[USER])
    return None


def _as_listed(family: socket.AddressFamily, host: str, port: int) -> str:
    """An address as the list has it: its words of 32 bits in the machine's order, in hexadecimal digits."""
    packed = socket.inet_pton(family, host.partition("%")[0])
    words = [int.from_bytes(packed[start : start + 4], "big") for start in range(0, len(packed), 4)]
    return "".join(f"{socket.ntohl(word):08X}" for word in words) + f":{port:04X}"
