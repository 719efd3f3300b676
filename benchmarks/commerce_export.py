"""product-export and order-export beside one hand-written query of the same columns, read with COPY TO STDOUT."""

from pathlib import Path

import psycopg
from sqlalchemy import Engine

from batch_jobs.strategies.order_export import OrderExport
from batch_jobs.strategies.product_export import ProductExport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.shop.medusa.schema import create_shop
from benchmarks import ours
from benchmarks.commerce import PRODUCTS
from benchmarks.commerce_data import ORDERS, write_products
from benchmarks.databases import Postgres
from benchmarks.report import Measured, seconds, show

#: The columns of a product export for a shop that is known: two prices, one option, three images, no channel.
PRODUCTS_BY_HAND = """
SELECT p.id, p.handle, p.title, p.subtitle, p.description, p.status, p.thumbnail, p.weight, p.length, p.width, p.height,
       p.hs_code, p.origin_country, p.mid_code, p.material, c.title, c.handle, t.value, g.tags, p.discountable,
       p.external_id, s.name, s.type, v.id, v.title, v.sku, v.barcode, v.inventory_quantity, v.allow_backorder,
       v.manage_inventory, v.weight, v.length, v.width, v.height, v.hs_code, v.origin_country, v.mid_code, v.material,
       m.eur / 100.0, m.usd / 100.0, o.title, o.value, i.urls[1], i.urls[2], i.urls[3]
FROM product p
JOIN product_variant v ON v.product_id = p.id AND v.deleted_at IS NULL
LEFT JOIN product_collection c ON c.id = p.collection_id
LEFT JOIN product_type t ON t.id = p.type_id
LEFT JOIN product_shipping_profile l ON l.product_id = p.id
LEFT JOIN shipping_profile s ON s.id = l.profile_id
LEFT JOIN (SELECT product_id, string_agg(value, ',') AS tags FROM product_tags
           JOIN product_tag ON id = product_tag_id GROUP BY product_id) g ON g.product_id = p.id
LEFT JOIN (SELECT k.variant_id, max(amount) FILTER (WHERE currency_code = 'eur' AND region_id IS NULL) AS eur,
                  max(amount) FILTER (WHERE currency_code = 'usd' AND region_id IS NULL) AS usd
           FROM product_variant_money_amount k JOIN money_amount a ON a.id = k.money_amount_id
           WHERE price_list_id IS NULL AND a.deleted_at IS NULL GROUP BY k.variant_id) m ON m.variant_id = v.id
LEFT JOIN (SELECT x.variant_id, max(y.title) AS title, max(x.value) AS value FROM product_option_value x
           JOIN product_option y ON y.id = x.option_id GROUP BY x.variant_id) o ON o.variant_id = v.id
LEFT JOIN (SELECT product_id, array_agg(url) AS urls FROM product_images
           JOIN image ON id = image_id GROUP BY product_id) i ON i.product_id = p.id
WHERE p.deleted_at IS NULL
ORDER BY p.created_at DESC, p.id, v.variant_rank"""

#: The columns of an order export; the totals by the same rules, for orders without gift cards and tax rates.
ORDERS_BY_HAND = """
SELECT o.id, o.display_id, o.status, to_char(o.created_at AT TIME ZONE 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS "GMT"'),
       c.first_name, c.last_name, c.email, c.id, a.address_1, a.address_2, a.country_code, a.city, a.postal_code,
       o.region_id, o.fulfillment_status, o.payment_status, i.subtotal, s.price, coalesce(d.amount, 0), 0,
       coalesce(r.amount, 0), floor(x.tax + y.tax + 0.5),
       i.subtotal + s.price + floor(x.tax + y.tax + 0.5) - coalesce(d.amount, 0), o.currency_code, n.name, n.description
FROM "order" o
LEFT JOIN customer c ON c.id = o.customer_id
LEFT JOIN address a ON a.id = o.shipping_address_id
LEFT JOIN sales_channel n ON n.id = o.sales_channel_id
LEFT JOIN (SELECT order_id, sum(unit_price * quantity) AS subtotal FROM line_item GROUP BY order_id) i
       ON i.order_id = o.id
LEFT JOIN (SELECT order_id, sum(price) AS price FROM shipping_method GROUP BY order_id) s ON s.order_id = o.id
LEFT JOIN (SELECT order_id, sum(amount) AS amount FROM refund GROUP BY order_id) r ON r.order_id = o.id
LEFT JOIN (SELECT order_id, sum(amount) AS amount FROM line_item_adjustment j JOIN line_item k ON k.id = j.item_id
           GROUP BY order_id) d ON d.order_id = o.id
LEFT JOIN (SELECT order_id, sum(floor((unit_price * quantity - coalesce(j.amount, 0)) * rate / 100 + 0.5)) AS tax
           FROM line_item k JOIN line_item_tax_line l ON l.item_id = k.id
           LEFT JOIN (SELECT item_id, sum(amount) AS amount FROM line_item_adjustment GROUP BY item_id) j
                  ON j.item_id = k.id GROUP BY order_id) x ON x.order_id = o.id
LEFT JOIN (SELECT order_id, sum(price * rate / 100) AS tax FROM shipping_method m
           JOIN shipping_method_tax_line l ON l.shipping_method_id = m.id GROUP BY order_id) y ON y.order_id = o.id
ORDER BY o.created_at DESC, o.id"""


def measure(work: Path, goods: Path, rows: int) -> None:
    postgres = Postgres(work / "pg-commerce-export")
    with postgres.database() as uri:
        engine = make_engine(uri)
        create_shop(engine)
        _fill(engine, uri, work)
        lines: list[Measured] = []
        for name, query, strategy in (
            ("product", PRODUCTS_BY_HAND, ProductExport()),
            ("order", ORDERS_BY_HAND, OrderExport()),
        ):
            # the hand's best of three, before, between and after ours
            hand = [seconds(lambda query=query: _copy_out(uri, query, work / "by-hand.csv"))]
            mine = []
            for _ in range(2):
                mine.append(_export(strategy, engine, work))
                hand.append(seconds(lambda query=query: _copy_out(uri, query, work / "by-hand.csv")))
            beside = PRODUCTS / min(hand)
            lines += [
                Measured(f"{name}s: one query by hand, COPY TO STDOUT", beside),
                Measured(f"{name}-export, process", PRODUCTS / min(mine), beside, 0.5),
            ]
        engine.dispose()
    postgres.stop()
    show(f"Exports of {PRODUCTS:,} products (two variants each) and of {PRODUCTS:,} orders", "entries/s", lines)


def _fill(engine: Engine, uri: str, work: Path) -> None:
    strategy = ProductImport()
    key = ours.put(write_products(work / "products-export.csv", PRODUCTS), work / "files")
    ours.run(strategy, ours.open_job(strategy, {"file_key": key}, engine, work / "files"))
    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in ORDERS.format(count=PRODUCTS).split(";\n"):
            connection.execute(statement)
        connection.execute("VACUUM ANALYZE")


def _copy_out(uri: str, query: str, path: Path) -> None:
    with psycopg.connect(uri) as connection, path.open("wb") as file:
        with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER, DELIMITER ';')") as copy:
            for block in copy:
                file.write(block)


def _export(strategy: BatchJobStrategy, engine: Engine, work: Path) -> float:
    job = ours.open_job(strategy, {}, engine, work / "files")
    job.context = strategy.prepare(job.context)
    hooks.pre_process(strategy, job)
    return seconds(lambda: hooks.process(strategy, job))
