"""Links that need no key: where they lead, what they name, and whether their maker may still read that."""

import ipaddress
import re
import socket
from urllib.parse import quote

from fastapi import Request
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.datastructures import URL

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api
from batch_jobs.deployments.api.errors import LinkInvalid
from batch_jobs.deployments.api.file_access import FileAccess
from batch_jobs.deployments.log import add_facts
from batch_jobs.strategies.sdk.errors import FileMissing

#: What a link is for: one of a kind is none of another.
DOWNLOAD, STREAM = "download", "stream"
#: A ``Host``: a name or an address, and perhaps a port.
HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::([0-9]{1,5}))?", re.IGNORECASE)


def download_link(request: Request, api: Api, caller: Caller, key: str) -> str:
    """A link to a file that a caller may read: signed, and as good as the caller's key is when it is followed."""
    token = make_token(api, DOWNLOAD, key, caller)
    return f"{base_url(request, api)}/files/{token}/{quote(key.rsplit('/', 1)[-1])}"


def linked_file(api: Api, token: str) -> str:
    """The file of a link.

    Raises:
        LinkInvalid: it was not made here, is altered or too old, or its maker's key may not read the file any more.
        FileMissing: the file is gone.
    """
    file_key, maker = read_token(api, DOWNLOAD, token)
    if not maker.may(Right.FILES):
        raise LinkInvalid
    if not api.files.exists(file_key):
        raise FileMissing(file_key)
    if not FileAccess(api, maker).owns(file_key):
        raise LinkInvalid
    return file_key


def make_token(api: Api, kind: str, what: str, caller: Caller) -> str:
    """The part of a link that is a permission.

    Args:
        api: signs it.
        kind: what it is for.
        what: the key of a file, or the id of a job.
        caller: who makes it.
    """
    return _tokens(api, kind).dumps([what, caller.key_id])


def read_token(api: Api, kind: str, token: str) -> tuple[str, Caller]:
    """What a link is of, and its maker as the one who asks now.

    Raises:
        LinkInvalid: it was not made here, was altered, is too old, or its maker's key was revoked.
    """
    try:
        what, key_id = _tokens(api, kind).loads(token, max_age=api.settings.link_seconds)
    except (BadData, ValueError, TypeError):
        raise LinkInvalid from None
    add_facts(key=key_id, by="link")
    maker = api.authentication.holder(key_id)
    if maker is None:
        raise LinkInvalid
    add_facts(holder=maker.name)
    return what, maker


def base_url(request: Request, api: Api) -> str:
    """The address that links begin with: the one of the settings, else ours as the caller named it.

    A ``Host`` that is not ours is not repeated: whoever sets it would send the holder of a link elsewhere.
    """
    if api.settings.api_public_url:
        return api.settings.api_public_url
    name, port = request.scope.get("server") or (api.settings.api_host, api.settings.api_port)
    called = HOST.fullmatch(request.headers.get("host", ""))
    if called and _is_ours(called[1].strip("[]").lower(), {name.lower(), api.settings.api_host.lower()}):
        return f"{request.url.scheme}://{called[0]}"
    return str(URL(scheme=request.url.scheme, netloc=f"{f'[{name}]' if ':' in name else name}:{port}"))


def _is_ours(called: str, names: set[str]) -> bool:
    """Whether a host is this machine: the address it was reached by, API_HOST, a loopback, or the machine's name."""
    return called in names or called == socket.gethostname().lower() or _is_loopback(called)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tokens(api: Api, kind: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(api.links_key, salt=kind)
