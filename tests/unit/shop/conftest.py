from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.shop.medusa import tables
from support.shop import Shop, base, lists, more_orders, orders, products
from support.templates import Templates


@pytest.fixture(scope="session")
def templates(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    folder = tmp_path_factory.mktemp("shops")
    return Templates(folder, lambda name: request.getfixturevalue("pg_server").get_uri(name))


@pytest.fixture(params=["sqlite", "postgres"])
def open_shop(
    request: pytest.FixtureRequest, templates: Templates, tmp_path: Path
) -> Iterator[Callable[[Callable[[Engine], None]], Shop]]:
    """Opens shops of the golden files, on SQLite and on PostgreSQL."""
    engines: list[Engine] = []

    def open_one(fill: Callable[[Engine], None]) -> Shop:
        engines.append(make_engine(templates.copy(request.param, fill.__name__, fill)))
        return Shop(engines[-1], FileStore(str(tmp_path / "files")))

    yield open_one
    for engine in engines:
        engine.dispose()
    templates.drop_copies()


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop with regions, collections and sales channels, and no product."""
    return open_shop(base)


@pytest.fixture
def medusas_shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop with the products that a real Medusa imported."""
    return open_shop(products)


@pytest.fixture
def orders_shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop with orders."""
    return open_shop(orders)


@pytest.fixture
def more_orders_shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop with orders of further kinds."""
    return open_shop(more_orders)


@pytest.fixture
def lists_shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop with products and a price list."""
    return open_shop(lists)


@pytest.fixture
def golden(templates: Templates) -> Iterator[Engine]:
    """An empty database for the tables that Medusa left."""
    engine = make_engine(templates.copy("sqlite", "empty", tables.metadata.create_all))
    yield engine
    engine.dispose()
