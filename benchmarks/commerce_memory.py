"""Peak memory of product-import and product-export with few and many products, each in a process of its own."""

import os
import sys
from pathlib import Path

from batch_jobs.strategies.product_export import ProductExport
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.shop.medusa.schema import create_shop
from benchmarks import ours
from benchmarks.commerce import PRODUCTS
from benchmarks.commerce_data import write_products
from benchmarks.databases import Postgres
from benchmarks.report import console

MANY = int(os.environ.get("BENCH_MANY_PRODUCTS", str(4 * PRODUCTS)))
LIMIT_MB = 600
STRATEGIES: dict[str, type[BatchJobStrategy]] = {"import": ProductImport, "export": ProductExport}


def measure(work: Path, goods: Path, rows: int) -> None:
    postgres = Postgres(work / "pg-commerce-memory")
    peaks = {count: _peaks(postgres, work, count) for count in (PRODUCTS, MANY)}
    postgres.stop()
    wanted = f"(wanted: below {LIMIT_MB} MB, at most 1.15)"
    console.print(f"[bold]Peak memory, {PRODUCTS:,} and {MANY:,} products, PostgreSQL[/] {wanted}")
    for way in STRATEGIES:
        few, many = peaks[PRODUCTS][way], peaks[MANY][way]
        verdict = "ok" if many < LIMIT_MB and many / few <= 1.15 else "MISSED"
        console.print(f"  product-{way}: {few:.0f} MB and {many:.0f} MB, ratio {many / few:.2f} {verdict}")
    console.print()


def _peaks(postgres: Postgres, work: Path, products: int) -> dict[str, float]:
    path = write_products(work / f"products-{products}.csv", products)
    with postgres.database() as uri:
        engine = make_engine(uri)
        create_shop(engine)
        engine.dispose()
        found = {
            way: ours.peak_mb("benchmarks.commerce_memory", way, uri, str(path), str(work / "files"))
            for way in STRATEGIES
        }
    path.unlink()
    return found


def _work(way: str, uri: str, path: Path, files: Path) -> None:
    strategy = STRATEGIES[way]()
    context = {"file_key": ours.put(path, files)} if way == "import" else {}
    job = ours.open_job(strategy, context, make_engine(uri), files)
    job.context = strategy.prepare(job.context)
    ours.run(strategy, job)


if __name__ == "__main__":
    _work(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    ours.print_peak()
