"""Databases made once and copied for each test."""

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
from sqlalchemy import Engine

from batch_jobs.strategies.sdk.database import make_engine

Fill = Callable[[Engine], None]


class Templates:
    """Fresh databases, each a copy of one that was filled the first time it was asked for.

    Args:
        folder: where SQLite's files are.
        uri_of: gives the URI of a database of the PostgreSQL server, which is started when it is needed.
    """

    def __init__(self, folder: Path, uri_of: Callable[[str], str]) -> None:
        self._folder = folder
        self._uri_of = uri_of
        self._made: dict[tuple[str, str], str] = {}
        self._copies: list[tuple[str, str]] = []

    def copy(self, dialect: str, name: str, fill: Fill) -> str:
        """The URL of a new database, filled."""
        if (dialect, name) not in self._made:
            template = self._new(dialect, None)
            engine = make_engine(self._url(dialect, template))
            fill(engine)
            engine.dispose()
            self._made[dialect, name] = template
        self._copies.append((dialect, self._new(dialect, self._made[dialect, name])))
        return self._url(*self._copies[-1])

    def drop_copies(self) -> None:
        """Take away the databases that were given out; many of them fill what they lie in."""
        while self._copies:
            dialect, name = self._copies.pop()
            if dialect == "sqlite":
                self._path(name).unlink(missing_ok=True)
            else:
                self._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _new(self, dialect: str, template: str | None) -> str:
        name = f"shop_{uuid.uuid4().hex[:12]}"
        if dialect == "sqlite" and template:
            shutil.copyfile(self._path(template), self._path(name))
        elif dialect != "sqlite":
            # as files, which costs less than the log of all their pages does
            self._administer(f"CREATE DATABASE {name} TEMPLATE {template or 'template1'} STRATEGY file_copy")
        return name

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self._uri_of("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _url(self, dialect: str, name: str) -> str:
        return f"sqlite:///{self._path(name)}" if dialect == "sqlite" else self._uri_of(name)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.db"
