"""S1 for a shop: a product import killed for real, at random moments, ends as a clean one does."""

import random
from pathlib import Path

import pytest
from sqlalchemy import Engine

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.shop.medusa.schema import create_shop
from benchmarks.commerce_data import write_products
from support.runs import Runs, moments
from support.shop import Shop, emptied, picture

PRODUCTS = 1_500
KILLS = 6


@pytest.fixture
def products_file(tmp_path: Path) -> Path:
    """Products of which every 97th has a variant that is refused."""
    path = write_products(tmp_path / "products.csv", PRODUCTS)
    lines = path.read_text().splitlines(keepends=True)
    for number in range(97, len(lines), 194):
        lines[number] = lines[number].replace(";false;true;", ";perhaps;true;")
    path.write_text("".join(lines))
    return path


@pytest.fixture
def clean(tmp_path: Path, products_file: Path) -> tuple[object, ...]:
    """The tables and counts of an import that nobody kills."""
    engine = make_engine(f"sqlite:///{tmp_path / 'clean.db'}")
    create_shop(engine)
    shop = Shop(engine, FileStore(str(tmp_path / "clean-files")))
    result = shop.run(ProductImport(), file_key=shop.put(products_file))
    assert result.rejected > 10
    found = picture(engine), result.created, result.rejected, result.count, 1.0
    engine.dispose()
    return found


@pytest.mark.long
def test_S1_a_product_import_killed_at_random_moments_ends_as_a_clean_one(
    runs: Runs, products_file: Path, clean: tuple[object, ...]
):
    target: Engine = runs.workspace.target
    create_shop(target)
    _, seconds = runs.timed(new_import(runs, products_file).id)
    chance, left = random.Random(4711), KILLS
    while left:
        emptied(target)
        job = new_import(runs, products_file)
        for _ in runs.kills(job.id, moments(chance, seconds), most=left):
            left -= 1
        done = runs.workspace.service.get(job.id)
        assert done.status is Status.COMPLETED
        result = done.result
        assert (picture(target), result.created, result.rejected, result.advancement_count, result.progress) == clean


def new_import(runs: Runs, products_file: Path) -> Job:
    with products_file.open("rb") as stream:
        key = runs.workspace.files.put(stream, "products.csv")
    return runs.workspace.service.record("product-import", {"fileKey": key})
