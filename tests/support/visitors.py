"""People who use the page: signed in with their key, their forms with the secret of their session."""

import re
from typing import Any

import httpx

from support.api_server import Served

CSRF = re.compile(r'"x-csrf": "([^"]+)"')


class Visitor:
    """Somebody's browser, without JavaScript."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.csrf = found[1] if (found := CSRF.search(client.get("/").text)) else ""

    def get(self, path: str, **options: Any) -> httpx.Response:
        """A page, after all redirects."""
        return self.client.get(path, follow_redirects=True, **options)

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> httpx.Response:
        """What a form of the page gets as its answer, without following where it leads."""
        return self.client.post(path, data={"csrf": self.csrf, **(data or {})}, **options)


def visiting(served: Served, name: str) -> Visitor:
    """A person, signed in."""
    client = served.clients.enter_context(httpx.Client(base_url=served.url, timeout=30))
    answer = client.post("/sign-in", data={"key": served.keys[name]})
    assert answer.status_code == 303, answer.text
    return Visitor(client)
