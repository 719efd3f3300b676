from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from strategies.commerce import tables
from strategies.engines import make_engine
from strategies.files import FileStore
from support.shop import BASE, Shop, load_golden


@pytest.fixture
def shop(target: Engine, tmp_path: Path) -> Shop:
    """A shop as Medusa's golden files began: regions, collections and sales channels, and no product."""
    tables.metadata.create_all(target)
    load_golden(target, "products_100.tables", BASE)
    return Shop(target, FileStore(str(tmp_path / "files")))


@pytest.fixture
def golden(tmp_path: Path) -> Iterator[Engine]:
    """An empty database for the tables that Medusa left."""
    engine = make_engine(f"sqlite:///{tmp_path / 'golden.db'}")
    tables.metadata.create_all(engine)
    yield engine
    engine.dispose()
