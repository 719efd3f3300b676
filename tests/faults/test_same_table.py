"""Imports into one table at the same time wait for each other, and what the database ends of them is done again."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.shop.medusa.schema import create_shop
from benchmarks.commerce_data import write_products
from support.runs import Runs

IMPORTS = 4
ROWS = 3_000


def write_shuffled(path: Path, number: int) -> Path:
    """All keys, in an order of its own."""
    keys = list(range(1, ROWS + 1))
    random.Random(number).shuffle(keys)
    path.write_text("id,code,price\n" + "".join(f"{key},code {key},{number}.{key % 90 + 10}\n" for key in keys))
    return path


def all_at_once(runs: Runs, batch_type: str, contexts: Sequence[dict[str, object]]) -> list[Job]:
    jobs = [runs.workspace.service.record(batch_type, context) for context in contexts]
    processes = [runs.start(job.id) for job in jobs]
    for process in processes:
        process.wait(timeout=300)
    done = [runs.workspace.service.get(job.id) for job in jobs]
    assert {job.status for job in done} == {Status.COMPLETED}, [job.result.errors for job in done]
    return done


def put(runs: Runs, path: Path) -> str:
    with path.open("rb") as stream:
        return runs.workspace.files.put(stream, path.name)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["upsert", "insert"])
def test_four_imports_into_one_table_all_complete(runs: Runs, tmp_path: Path, mode: str):
    with runs.workspace.target.begin() as connection:
        connection.execute(
            text("CREATE TABLE goods (id INTEGER PRIMARY KEY, code TEXT UNIQUE, price NUMERIC(10, 2), seen INTEGER)")
        )
        known = [{"id": key, "code": f"code {key}"} for key in range(1, ROWS + 1, 2)]
        connection.execute(text("INSERT INTO goods VALUES (:id, :code, 0, 1)"), known)
    keys = [put(runs, write_shuffled(tmp_path / f"goods-{number}.csv", number)) for number in range(1, IMPORTS + 1)]
    done = all_at_once(runs, "table-import", [{"file_key": key, "table": "goods", "mode": mode} for key in keys])
    with runs.workspace.target.connect() as connection:
        rows, distinct = connection.execute(text("SELECT count(*), count(DISTINCT id) FROM goods")).one()
        assert connection.scalar(text("SELECT count(*) FROM goods WHERE seen = 1")) == len(known)
    assert (rows, distinct) == (ROWS, ROWS)
    assert sum(job.result.created for job in done) == ROWS - len(known)
    assert {job.result.advancement_count for job in done} == {ROWS}
    assert {job.attempt for job in done} == {1}


@pytest.mark.long
def test_four_imports_of_the_same_products_all_complete(runs: Runs, tmp_path: Path):
    create_shop(runs.workspace.target)
    products = write_products(tmp_path / "products.csv", 400)
    all_at_once(runs, "product-import", [{"file_key": put(runs, products)}])
    header, *lines = products.read_text().splitlines()
    contexts: list[dict[str, object]] = []
    for number in range(IMPORTS):
        path = tmp_path / f"products-{number}.csv"
        random.Random(number).shuffle(lines)
        managed = f";false;{str(number % 2 == 0).lower()};"
        path.write_text("\n".join([header, *(line.replace(";false;true;", managed) for line in lines)]))
        contexts.append({"file_key": put(runs, path)})
    done = all_at_once(runs, "product-import", contexts)
    assert [job.result.rejected for job in done] == [0] * IMPORTS
    assert sum(job.result.updated for job in done) > 0
    with runs.workspace.target.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM product")) == 400
