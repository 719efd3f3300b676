"""Memory does not grow with the rows of a job: each job in a process of its own, as its peak is measured."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.shop.medusa.schema import create_shop
from support.product_file import write_products

RUN = """
import json, sys
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.testing import run_strategy
from batch_jobs.strategies.sdk.registry import load_strategies
from tests.support.memory import peak_mb

batch_type, context, target, files = sys.argv[1:]
strategy = load_strategies().by_type[batch_type]()
result = run_strategy(strategy, json.loads(context), target=make_engine(target), files=FileStore(files))
print(json.dumps({"peak": peak_mb(), "file_key": result.file_key, "count": result.count, "rejected": result.rejected}))
"""
TABLE_MB, SHOP_MB = 400, 600
#: How much more a job may take for so many more rows.
FLAT = 1.25


def run(batch_type: str, context: dict[str, Any], target: str, files: Path) -> dict[str, Any]:
    arguments = [batch_type, json.dumps(context), target, str(files)]
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def put(path: Path, files: Path) -> dict[str, str]:
    files.mkdir(exist_ok=True)
    path.rename(files / path.name)
    return {"file_key": path.name}


@pytest.fixture
def goods(postgres_url: str, tmp_path: Path):
    """Imports so many rows into a table and exports them again; returns the peaks."""

    def measure(rows: int) -> tuple[float, float]:
        path = tmp_path / f"goods_{rows}.csv"
        with path.open("w") as file:
            file.write("id,sku,name,price,stock\n")
            file.writelines(f"{n},SKU-{n:09d},Article number {n},{n % 9999}.5,{n % 1000}\n" for n in range(rows))
        with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
            connection.execute("DROP TABLE IF EXISTS goods")
            connection.execute("CREATE TABLE goods (id INT PRIMARY KEY, sku TEXT, name TEXT, price NUMERIC, stock INT)")
        context = {**put(path, tmp_path / "files"), "table": "goods", "mode": "upsert"}
        imported = run("table-import", context, postgres_url, tmp_path / "files")
        exported = run("table-export", {"table": "goods"}, postgres_url, tmp_path / "files")
        assert imported["count"] == exported["count"] == rows
        return imported["peak"], exported["peak"]

    return measure


@pytest.fixture
def shop(postgres_url: str, tmp_path: Path):
    """Imports so many products into a new shop and exports them again; returns the shop's rows and the peaks."""

    def measure(products: int) -> tuple[int, float, float]:
        path = write_products(tmp_path / f"products_{products}.csv", products)
        address = postgres_url.replace("+psycopg", "")
        with psycopg.connect(address) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        engine = make_engine(postgres_url)
        create_shop(engine)
        engine.dispose()
        with psycopg.connect(address) as connection:
            connection.execute("INSERT INTO region (id, name, currency_code, tax_rate) VALUES ('reg', 'NA', 'usd', 0)")
            connection.execute("INSERT INTO product_collection (id, title, handle) VALUES ('col', 'Summer', 'summer')")
            connection.execute("INSERT INTO sales_channel (id, name) VALUES ('web', 'Web')")
            categories = "('kitchen', 'Kitchen', 'kitchen', 0), ('gifts', 'Gifts', 'gifts', 1)"
            connection.execute(f"INSERT INTO product_category (id, name, handle, rank) VALUES {categories}")
        imported = run("product-import", put(path, tmp_path / "files"), postgres_url, tmp_path / "files")
        assert imported["rejected"] == 0
        exported = run("product-export", {}, postgres_url, tmp_path / "files")
        assert exported["count"] == products
        with psycopg.connect(address) as connection:
            connection.execute("ANALYZE")
            (rows,) = connection.execute("SELECT sum(n_live_tup) FROM pg_stat_user_tables").fetchone() or (0,)
        return int(rows), imported["peak"], exported["peak"]

    return measure


@pytest.mark.large
def test_S45_a_million_rows_in_and_out_of_a_table_take_hardly_more_memory_than_a_tenth(goods):
    few, many = goods(100_000), goods(1_000_000)
    assert max(many) < TABLE_MB
    for less, more in zip(few, many, strict=True):
        assert more / less < FLAT


@pytest.mark.large
def test_S45_two_million_rows_of_a_shop_in_and_out_take_hardly_more_memory_than_a_quarter(shop):
    _, *few = shop(24_000)  # fewer do not fill what an import holds at once
    rows, *many = shop(96_000)
    assert rows > 2_000_000
    assert max(many) < SHOP_MB
    for less, more in zip(few, many, strict=True):
        assert more / less < FLAT
