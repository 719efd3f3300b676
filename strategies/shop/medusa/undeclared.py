"""Columns of Medusa's that have the id of a row of another table without a foreign key."""

from collections.abc import Sequence

from sqlalchemy import Engine, inspect

from batch_jobs.strategies.shop.medusa import tables
from batch_jobs.strategies.tables.undoing.references import Undeclared

REFERENCES = (
    Undeclared(tables.product_variant_money_amount.name, "variant_id", tables.product_variant.name),
    Undeclared(tables.product_sales_channel.name, "product_id", tables.product.name),
    Undeclared(tables.product_shipping_profile.name, "product_id", tables.product.name),
)
#: What a shop has, and hardly anything else all of them.
OF_A_SHOP = {table.name for table in (tables.product, tables.product_variant, tables.money_amount, tables.store)}


def undeclared_references(engine: Engine) -> Sequence[Undeclared]:
    """Those of a database that is a shop; of any other none, whatever its tables are called."""
    return REFERENCES if set(inspect(engine).get_table_names()) >= OF_A_SHOP else ()
