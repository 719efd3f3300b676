"""A way to a PostgreSQL server that can be cut, as a cable can, or closed, as by a server that is away."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

BYTES = 1 << 16


class Proxy:
    """Forwards connections from a port of this machine to the socket of a server.

    Args:
        url: the server's database, by its socket.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = str(Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._forwards = threading.Event()
        self._forwards.set()
        self._is_open = True
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        port = self._listening.getsockname()[1]
        #: The database by this way.
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{port}{parts.path}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Forward nothing more, in neither direction, and leave all connections open."""
        self._forwards.clear()

    def refuse(self) -> None:
        """End all connections and refuse new ones."""
        self._is_open = False
        self._end()

    def open(self) -> None:
        """Let connections be made again."""
        self._is_open = True

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
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._socket)
            self._pairs.append((near, far))
            for ways in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=ways, daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(BYTES):
                self._forwards.wait()
                sink.sendall(data)
        self._forwards.wait()  # the end of one side does not get through a cut cable either
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _end(self) -> None:
        for pair in self._pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs = []


@contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    """A proxy before a database, closed at the end."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
