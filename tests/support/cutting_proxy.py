"""A proxy before PostgreSQL that cuts connections: at once, or at a word that a client sends."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.engine import URL

READ = 1 << 16


class CuttingProxy:
    """Forwards connections to a server until it is asked to cut them.

    Args:
        upstream: the address of the server, a path or a host and port.
        url: of the database, for those that connect to the server itself.
    """

    def __init__(self, upstream: str | tuple[str, int], url: URL) -> None:
        self.cuts = 0
        self._upstream = upstream
        self._word: bytes | None = None
        self._after = self._is_closed = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        query = {name: value for name, value in url.query.items() if name not in ("host", "port")}
        self.url = url.set(host="127.0.0.1", port=port, query=query).render_as_string(hide_password=False)
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @classmethod
    @contextmanager
    def to(cls, url: URL) -> Iterator["CuttingProxy"]:
        """A proxy before the server of this URL, as long as the block runs."""
        host = str(url.query.get("host") or url.host or "localhost")
        port = url.port or 5432
        proxy = cls(f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port), url)
        try:
            yield proxy
        finally:
            proxy.close()

    def cut_at(self, word: bytes, *, after: bool) -> None:
        """Cut the first connection whose client sends this word: before the server gets it, or after it answered."""
        self._word, self._after = word, after

    def cut_all(self) -> None:
        """Cut every connection there is now."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self._cut(pair)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Cut every connection and take no new one while the block runs: the server is away."""
        self._is_closed = True
        self.cut_all()
        try:
            yield
        finally:
            self._is_closed = False

    def close(self) -> None:
        self._listener.close()
        self.cut_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_closed:
                client.close()
                continue
            is_path = isinstance(self._upstream, str)
            server = socket.socket(socket.AF_UNIX if is_path else socket.AF_INET)
            try:
                server.connect(self._upstream)
            except OSError:  # the server is away
                client.close()
                continue
            self._pairs.append((client, server))
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError, ValueError):
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for source in ready:
                    data = source.recv(READ)
                    if not data:
                        return self._cut((client, server))
                    if source is client and self._word is not None and self._word in data:
                        return self._cut_here(client, server, data)
                    (server if source is client else client).sendall(data)
        self._cut((client, server))
        return None

    def _cut_here(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        self._word = None
        self.cuts += 1
        if self._after:
            server.sendall(data)
            server.recv(READ)  # the answer, which the client never gets
        self._cut((client, server))

    def _cut(self, pair: tuple[socket.socket, socket.socket]) -> None:
        for end in pair:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
