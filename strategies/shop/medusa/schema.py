"""Making a shop's tables in an empty target, with what Medusa v1 puts into them when it first starts."""

from sqlalchemy import Connection, Engine, insert, inspect, text

from batch_jobs.strategies.sdk.change_log import change_table
from batch_jobs.strategies.sdk.checkpoint import checkpoint_table, create_table
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.partition_table import partition_table, signal_table
from batch_jobs.strategies.shop.medusa import order_tables, payment_tables, tables
from batch_jobs.strategies.shop.medusa.currencies import CURRENCIES
from batch_jobs.strategies.shop.medusa.ids import new_ids

#: Medusa's search indexes: name, table, column.
TRIGRAM_INDEXES = (
    ("idx_gin_product_description", tables.product, "description"),
    ("idx_gin_product_title", tables.product, "title"),
    ("idx_gin_product_variant_sku", tables.product_variant, "sku"),
    ("idx_gin_product_variant_title", tables.product_variant, "title"),
    ("idx_gin_product_collection", tables.product_collection, "title"),
)
NUMBER_ORDERS = """ALTER TABLE "order" ALTER COLUMN display_id SET DEFAULT nextval('order_display_id_seq')"""
#: The modules that add their tables to the one metadata.
TABLE_MODULES = (tables, order_tables, payment_tables)


def create_shop(engine: Engine) -> bool:
    """Make the tables and those of checkpoints; returns False where there is a shop already.

    Of an existing shop, Medusa's own among them, nothing is altered: only the tables of checkpoints are added.
    """
    for table in (checkpoint_table, signal_table, partition_table, change_table):
        create_table(engine, table)
    if inspect(engine).has_table(tables.product.name):
        return False
    with engine.begin() as connection:
        tables.metadata.create_all(connection)
        if connection.dialect.supports_sequences:
            connection.execute(text(NUMBER_ORDERS))
        _make_trigram_indexes(connection)
        _fill(connection)
    return True


def _make_trigram_indexes(connection: Connection) -> None:
    if not database_of(connection).has_extension(connection, "pg_trgm"):
        return  # such as a server without the contrib modules; only Medusa's own search wants these indexes
    connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    for name, table, column in TRIGRAM_INDEXES:
        connection.execute(
            text(f"CREATE INDEX {name} ON {table.name} USING gin ({column} gin_trgm_ops) WHERE deleted_at IS NULL")
        )


def _fill(connection: Connection) -> None:
    """Medusa: currencies, two shipping profiles, a sales channel and the store are there from the first start."""
    connection.execute(insert(tables.currency), [dict(row) for row in CURRENCIES])
    default, gift_card = new_ids("sp", 2).to_pylist()
    profiles = [
        {"id": default, "name": "Default Shipping Profile", "type": "default"},
        {"id": gift_card, "name": "Gift Card Profile", "type": "gift_card"},
    ]
    connection.execute(insert(tables.shipping_profile), profiles)
    (channel,) = new_ids("sc", 1).to_pylist()
    connection.execute(insert(tables.sales_channel), [{"id": channel, "name": "Default Sales Channel"}])
    (store,) = new_ids("store", 1).to_pylist()
    connection.execute(insert(tables.store), [{"id": store, "default_sales_channel_id": channel}])
