"""A shop for tests: Medusa's golden tables loaded, jobs run on it, and what is in it without ids and times."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Boolean, DateTime, Engine, Float, Integer, Numeric, Table, delete, event, text
from ulid import ULID

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.sdk.sources import Sources
from batch_jobs.strategies.shop.medusa import order_tables, payment_tables, tables

GOLDEN = Path(__file__).parents[1] / "golden" / "medusa"
assert order_tables.metadata is payment_tables.metadata is tables.metadata


def load_golden(engine: Engine, folder: str, names: Iterable[str] | None = None) -> None:
    """Load tables of Medusa's as they are, without regard to rows that the golden files leave out."""
    found = {path.stem: path for path in (GOLDEN / folder).glob("*.csv")}
    with engine.connect() as connection:
        _without_foreign_keys(connection)
        for name in names or sorted(found):
            table = tables.metadata.tables[name]
            with found[name].open(newline="") as file:
                rows = [_typed(table, row) for row in csv.DictReader(file)]
            connection.execute(table.insert(), rows)
        connection.commit()
        connection.invalidate()  # the next one heeds foreign keys again


def _without_foreign_keys(connection: Any) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET session_replication_role = replica"))
    else:
        connection.connection.driver_connection.execute("PRAGMA foreign_keys = OFF")


def _typed(table: Table, row: dict[str, str]) -> dict[str, Any]:
    return {name: _cell(table.c[name].type, cell) for name, cell in row.items()}


def _cell(kind: Any, cell: str) -> Any:
    if cell == "":
        return None
    ways: list[tuple[Any, Callable[[str], Any]]] = [
        (Boolean, lambda text: text == "t"),
        (DateTime, lambda text: datetime.fromisoformat(text)),
        (Integer, int),
        (Float, float),
        (Numeric, float),
        (JSON, json.loads),
    ]
    return next((way(cell) for known, way in ways if isinstance(kind, known)), cell)


#: What a shop has before the first product.
BASE = ("currency", "region", "product_collection", "sales_channel", "shipping_profile", "store")
#: What a price list's golden files have.
PRICES = ("money_amount", "price_list", "product_variant_money_amount")


def tables_in(folder: str, *without: str) -> list[str]:
    """The tables that a folder of golden files has."""
    return sorted({path.stem for path in (GOLDEN / folder).glob("*.csv")} - set(without))


def base(engine: Engine) -> None:
    """Regions, collections and sales channels, and no product."""
    tables.metadata.create_all(engine)
    load_golden(engine, "products_100.tables", BASE)


def products(engine: Engine) -> None:
    """The products that a real Medusa imported."""
    base(engine)
    load_golden(engine, "products_100.tables", tables_in("products_100.tables", *BASE))


def orders(engine: Engine) -> None:
    """Orders without the products they are of."""
    base(engine)
    load_golden(engine, "orders_100.tables", tables_in("orders_100.tables", *BASE))


def more_orders(engine: Engine) -> None:
    """Orders with gift cards, an order's own tax rate, all kinds of discounts, and returns."""
    tables.metadata.create_all(engine)
    load_golden(engine, "orders_more.tables", tables_in("orders_more.tables", "return_item"))


def lists(engine: Engine) -> None:
    """Products, and a price list."""
    base(engine)
    load_golden(engine, "products_100_update.tables", tables_in("products_100_update.tables", *BASE, *PRICES))
    load_golden(engine, "price_list_before.tables", PRICES)


#: What each product is, with other rows named by what people know of them.
PRODUCTS = """
    SELECT p.handle, p.title, p.subtitle, p.description, p.status, p.thumbnail, p.weight, p.length, p.width, p.height,
           p.hs_code, p.origin_country, p.mid_code, p.material, p.discountable, p.external_id, p.is_giftcard,
           c.handle AS collection, t.value AS type
    FROM product p LEFT JOIN product_collection c ON c.id = p.collection_id LEFT JOIN product_type t ON t.id = p.type_id
    WHERE p.deleted_at IS NULL"""
VARIANTS = """
    SELECT p.handle AS product, v.title, v.sku, v.barcode, v.inventory_quantity, v.allow_backorder, v.manage_inventory,
           v.weight, v.length, v.width, v.height, v.hs_code, v.origin_country, v.mid_code, v.material, v.variant_rank
    FROM product_variant v JOIN product p ON p.id = v.product_id WHERE v.deleted_at IS NULL"""
QUERIES = {
    "product": PRODUCTS,
    "variant": VARIANTS,
    "option": "SELECT p.handle, o.title FROM product_option o JOIN product p ON p.id = o.product_id",
    "option value": """SELECT p.handle, v.title AS variant, v.sku, o.title, x.value FROM product_option_value x
        JOIN product_option o ON o.id = x.option_id JOIN product_variant v ON v.id = x.variant_id
        JOIN product p ON p.id = v.product_id""",
    "price": """SELECT p.handle, v.title AS variant, v.sku, m.currency_code, r.name, m.amount, l.name AS list,
        m.min_quantity, m.max_quantity
        FROM money_amount m LEFT JOIN product_variant_money_amount k ON k.money_amount_id = m.id
        LEFT JOIN product_variant v ON v.id = k.variant_id LEFT JOIN product p ON p.id = v.product_id
        LEFT JOIN region r ON r.id = m.region_id
        LEFT JOIN price_list l ON l.id = m.price_list_id""",
    "link without price": """SELECT k.id FROM product_variant_money_amount k
        LEFT JOIN money_amount m ON m.id = k.money_amount_id WHERE m.id IS NULL""",
    "image": """SELECT p.handle, i.url FROM product_images k JOIN product p ON p.id = k.product_id
        JOIN image i ON i.id = k.image_id""",
    "all images": "SELECT url FROM image",
    "tag": """SELECT p.handle, t.value FROM product_tags k JOIN product p ON p.id = k.product_id
        JOIN product_tag t ON t.id = k.product_tag_id""",
    "all tags": "SELECT value FROM product_tag",
    "all types": "SELECT value FROM product_type",
    "channel": """SELECT p.handle, c.name FROM product_sales_channel k JOIN product p ON p.id = k.product_id
        JOIN sales_channel c ON c.id = k.sales_channel_id""",
    "profile": """SELECT p.handle, s.name FROM product_shipping_profile k JOIN product p ON p.id = k.product_id
        JOIN shipping_profile s ON s.id = k.profile_id""",
}


def picture(engine: Engine) -> dict[str, Counter[tuple[Any, ...]]]:
    """Everything of the catalogue but ids and times, comparable across databases."""
    with engine.connect() as connection:
        return {name: Counter(tuple(row) for row in connection.execute(text(query))) for name, query in QUERIES.items()}


def emptied(engine: Engine) -> None:
    """Take all products out of a shop."""
    with engine.begin() as connection:
        for name in (
            "product_variant_money_amount", "money_amount", "product_option_value", "product_variant", "product_option",
            "product_tags", "product_images", "product_sales_channel", "product_shipping_profile", "product", "image",
            "product_tag", "product_type",
        ):  # fmt: skip
            connection.execute(delete(tables.metadata.tables[name]))


@dataclass
class Shop:
    """Runs commerce jobs on a target, in as many attempts as a test wants."""

    target: Engine
    files: FileStore
    chunk_size: int = 40
    reports: list[Any] = field(default_factory=list)
    sources: Sources = field(default_factory=Sources)

    def put(self, content: str | bytes | Path, name: str = "in.csv") -> str:
        data = content.read_bytes() if isinstance(content, Path) else content
        return self.files.put(BytesIO(data.encode() if isinstance(data, str) else data), name)

    def job(self, strategy: BatchJobStrategy, **context: Any) -> JobRun:
        prepared = strategy.prepare(strategy.Context.model_validate(context))
        return self.attempt(JobIdentity(f"batch_{ULID()}", strategy.batch_type, prepared))

    def again(self, job: JobRun) -> JobRun:
        identity = JobIdentity(job.id, job.type, job.context, attempt=job.attempt + 1)
        return self.attempt(identity, job.result, job.plan)

    def attempt(
        self, identity: JobIdentity, result: JobResult | None = None, plan: dict[str, Any] | None = None
    ) -> JobRun:
        checkpoints = CheckpointStore(self.target, identity.id, identity.attempt)
        parts = JobParts(
            self.target, self.files, checkpoints, *self.reports[-1:], chunk_size=self.chunk_size, sources=self.sources
        )
        return JobRun(identity, parts, result, plan)

    def preview(self, strategy: BatchJobStrategy, **context: Any) -> JobRun:
        job = self.job(strategy, **context)
        hooks.pre_process(strategy, job)
        return job

    def done(self, strategy: BatchJobStrategy, **context: Any) -> JobRun:
        """A job that went through all its hooks, uncut."""
        job = self.preview(strategy, **context)
        hooks.process(strategy, job)
        hooks.post_process(strategy, job)
        return job

    def run(self, strategy: BatchJobStrategy, **context: Any) -> JobResult:
        return self.done(strategy, **context).result

    def read(self, key: str | None) -> str:
        assert key is not None
        with self.files.open(key) as stream:
            return stream.read().decode()

    def table(self, result: JobResult) -> list[dict[str, str]]:
        """An exported file as rows."""
        return list(csv.DictReader(self.read(result.file_key).splitlines(keepends=True), delimiter=";"))

    def rejects(self, result: JobResult) -> list[dict[str, str]]:
        if result.rejects_file_key is None:
            return []
        return list(csv.DictReader(self.read(result.rejects_file_key).splitlines(keepends=True)))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.target.begin() as connection:
            found = connection.execute(text(statement))
            return [tuple(row) for row in found] if found.returns_rows else []

    def statements(self) -> list[str]:
        """Every statement that is sent to the target from now on."""
        sent: list[str] = []

        @event.listens_for(self.target, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            sent.append(statement)

        return sent

    def picture(self) -> dict[str, Counter[tuple[Any, ...]]]:
        return picture(self.target)

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of the catalogue, ids and times included."""
        return {name: sorted(self.rows(f'SELECT * FROM "{name}"'), key=repr) for name in tables.metadata.tables}
