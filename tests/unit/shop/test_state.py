from collections.abc import Iterator

import pyarrow as pa
import pytest
from sqlalchemy import Connection, text

from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.shop.medusa.schema import create_shop
from batch_jobs.strategies.shop.state import StateReader

FILL = (
    "INSERT INTO product (id, title, handle) SELECT 'prod_' || n, 'Mug', 'mug-' || n FROM generate_series(1, 5000) n",
    "INSERT INTO product_variant (id, title, product_id, sku, inventory_quantity) "
    "SELECT 'variant_' || n, 'Blue', 'prod_' || n, 'MUG-' || n, 1 FROM generate_series(1, 5000) n",
)


@pytest.fixture
def unknown_to_the_planner(postgres_url: str) -> Iterator[Connection]:
    """A shop that has just been filled, of which PostgreSQL has no statistics."""
    engine = make_engine(postgres_url)
    create_shop(engine)
    with engine.begin() as connection:
        for table in ("product", "product_variant"):
            connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
        for statement in FILL:
            connection.execute(text(statement))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    ("find", "column", "prefix", "index"),
    [
        ("holding", "product_id", "prod_", "ix_product_variant_product_id"),
        ("holding", "id", "variant_", "product_variant_pkey"),
        ("holding_live", "sku", "MUG-", "uq_product_variant_sku"),
    ],
)
def test_a_group_is_read_by_its_column_s_own_index(unknown_to_the_planner, find, column, prefix, index):
    state = StateReader(unknown_to_the_planner)
    wanted = pa.array([f"{prefix}{number}" for number in range(1, 1001)])
    source = getattr(state, find)(tables.product_variant, column, wanted)

    read = f"SELECT id FROM {source} WHERE deleted_at IS NULL"
    plan = "\n".join(unknown_to_the_planner.exec_driver_sql(f"EXPLAIN {read}").scalars())

    assert index in plan
    assert plan.count("on uq_") + plan.count("using uq_") == index.startswith("uq_")
    assert "Gather" not in plan
    assert state.texts(read, "id").num_rows == 1000
