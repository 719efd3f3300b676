"""A way to a PostgreSQL server that can be cut as a cable can, closed as a server that is away, or lost at a word."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy.engine import URL, make_url

BYTES = 1 << 16


@dataclass(eq=False)
class Pair:
    """A client's connection to the proxy, and that of the proxy to the server."""

    near: socket.socket
    far: socket.socket
    #: Whether the client is to get no answer any more.
    loses_answer: bool = False

    def end(self) -> None:
        for side in (self.near, self.far):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Forwards connections from a port of this machine to a server.

    Args:
        url: the server's database, by its socket or by host and port.
    """

    def __init__(self, url: str | URL) -> None:
        url = make_url(url)
        self.cuts = 0
        host = str(url.query.get("host") or url.host or "localhost")
        self._server = f"{host}/.s.PGSQL.{url.port or 5432}" if host.startswith("/") else (host, url.port or 5432)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._forwards = threading.Event()
        self._forwards.set()
        self._is_open = True
        self._word: bytes | None = None
        self._after_answer = False
        self._pairs: list[Pair] = []
        port = self._listening.getsockname()[1]
        query = {name: value for name, value in url.query.items() if name not in ("host", "port")}
        #: The database by this way.
        self.url = url.set(host="127.0.0.1", port=port, query=query).render_as_string(hide_password=False)
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def cut(self) -> None:
        """Forward nothing more, in neither direction, and leave all connections open."""
        self._forwards.clear()

    def cut_at(self, word: bytes, *, after: bool) -> None:
        """End the first connection whose client sends this word: before the server gets it, or after it answered."""
        self._word, self._after_answer = word, after

    def end_all(self) -> None:
        """End all connections there are now."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.end()

    def refuse(self) -> None:
        """End all connections and refuse new ones."""
        self._is_open = False
        self.end_all()

    def open(self) -> None:
        """Let connections be made again."""
        self._is_open = True

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Refuse connections while the block runs."""
        self.refuse()
        try:
            yield
        finally:
            self.open()

    def close(self) -> None:
        self.refuse()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            if not self._is_open:
                near.close()
                continue
            far = socket.socket(socket.AF_UNIX if isinstance(self._server, str) else socket.AF_INET)
            try:
                far.connect(self._server)
            except OSError:  # the server is away
                near.close()
                continue
            pair = Pair(near, far)
            self._pairs.append(pair)
            for ways in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(pair, *ways), daemon=True).start()

    def _forward(self, pair: Pair, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(BYTES):
                self._forwards.wait()
                if self._is_lost(pair, source, data):
                    break
                sink.sendall(data)
        self._forwards.wait()  # the end of one side does not get through a cut cable either
        pair.end()

    def _is_lost(self, pair: Pair, source: socket.socket, data: bytes) -> bool:
        """Whether the connection ends instead of forwarding this."""
        if source is pair.far:
            return pair.loses_answer
        if self._word is None or self._word not in data:
            return False
        self._word = None
        self.cuts += 1
        pair.loses_answer = self._after_answer
        return not self._after_answer


@contextmanager
def proxied(url: str | URL) -> Iterator[Proxy]:
    """A proxy before a database, closed at the end."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
