from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk.database import Database, database_of, make_engine


@pytest.fixture
def database(target: Engine) -> Database:
    return database_of(target)


@pytest.fixture
def goods(target: Engine) -> Iterator[Engine]:
    """A target with a table of two goods; its names are such as need quotes."""
    with target.begin() as connection:
        connection.execute(
            text('CREATE TABLE "my goods" (code INTEGER PRIMARY KEY, "sale "" price" INTEGER, note TEXT)')
        )
        connection.execute(text("""INSERT INTO "my goods" VALUES (1, 10, 'old'), (2, NULL, NULL)"""))
    yield target


@pytest.fixture
def sqlite(tmp_path) -> Iterator[Engine]:
    engine = make_engine(f"sqlite:///{tmp_path / 'a' / 'jobs.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def postgresql(postgres_url: str) -> Iterator[Engine]:
    engine = make_engine(postgres_url)
    yield engine
    engine.dispose()
