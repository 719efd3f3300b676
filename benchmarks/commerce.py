"""product-import beside a raw COPY of the same rows, already split, into the same tables."""

import os
from pathlib import Path

import psycopg
from sqlalchemy import Engine

from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.partitioning import Partitioning
from batch_jobs.strategies.shop.medusa.schema import create_shop
from benchmarks import ours
from benchmarks.commerce_data import TABLES, write_products
from benchmarks.databases import Postgres
from benchmarks.report import Measured, seconds, show

PRODUCTS = int(os.environ.get("BENCH_PRODUCTS", "100000"))


def measure(work: Path, goods: Path, rows: int) -> None:
    postgres = Postgres(work / "pg-commerce")
    files = [write_products(work / f"products-{share}.csv", PRODUCTS, share) for share in (0.0, 0.1)]
    with postgres.database() as uri:
        engine = make_engine(uri)
        create_shop(engine)
        first = _import(engine, files[0], work)
        unchanged = _import(engine, files[0], work)
        split = _copy_out(uri, work / "split")
        update = _import(engine, files[1], work)
        engine.dispose()
    # what is held against each other is measured in turn, because others use the machine, too
    raw = [_raw_copy(postgres, split)]
    create = _fresh_import(postgres, files[0], work)
    raw.append(_raw_copy(postgres, split))
    in_two = _fresh_import(postgres, files[0], work, partitions=2)
    raw.append(_raw_copy(postgres, split))
    postgres.stop()
    by_hand = len(raw) * PRODUCTS / sum(raw)
    show(
        f"product-import on PostgreSQL, {PRODUCTS:,} products, 24 rows each",
        "products/s",
        [
            Measured("COPY of the split rows, by hand", by_hand),
            Measured("create, process (checkpoints and all)", PRODUCTS / create[1], by_hand, 0.5),
            Measured("create, the whole job", PRODUCTS / sum(create), by_hand, 0.5),
            Measured("create, process in two partitions", PRODUCTS / in_two[1], by_hand, 1),
            Measured("create, the whole job in two partitions", PRODUCTS / sum(in_two), by_hand, 0.5),
            Measured(
                "update, 10 % changed, the whole job, beside create", PRODUCTS / sum(update), PRODUCTS / sum(first), 1
            ),
            Measured("unchanged, the whole job, beside create", PRODUCTS / sum(unchanged), PRODUCTS / sum(first), 3),
        ],
    )


def _fresh_import(postgres: Postgres, path: Path, work: Path, partitions: int = 1) -> tuple[float, float]:
    with postgres.database() as uri:
        engine = make_engine(uri)
        create_shop(engine)
        if partitions == 1:
            taken = _import(engine, path, work)
        else:
            processes = ours.InProcesses(partitions, uri, work / "files")
            taken = _import(engine, path, work, processes)
            processes.stop()
        engine.dispose()
    return taken


def _import(engine: Engine, path: Path, work: Path, partitioning: Partitioning | None = None) -> tuple[float, float]:
    strategy = ProductImport()
    key = ours.put(path, work / "files")
    job: JobRun = ours.open_job(strategy, {"file_key": key}, engine, work / "files")
    before = seconds(lambda: hooks.pre_process(strategy, job))
    process = seconds(lambda: hooks.process(strategy, job, partitioning))
    assert job.result.rejected == 0
    assert job.result.advancement_count == job.result.count
    return before, process


def _copy_out(uri: str, folder: Path) -> Path:
    folder.mkdir()
    with psycopg.connect(uri) as connection:
        for table in TABLES:
            with (folder / table).open("wb") as file, connection.cursor().copy(f"COPY {table} TO STDOUT") as copy:
                for block in copy:
                    file.write(block)
    return folder


def _raw_copy(postgres: Postgres, folder: Path) -> float:
    with postgres.database() as uri:
        engine = make_engine(uri)
        create_shop(engine)
        engine.dispose()
        return seconds(lambda: _copy_in(uri, folder))


def _copy_in(uri: str, folder: Path) -> None:
    with psycopg.connect(uri) as connection:
        for table in TABLES:
            with (folder / table).open("rb") as file, connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                while block := file.read(1 << 20):
                    copy.write(block)
