"""S1 for a shop: a product import killed for real, at random moments, ends as a clean one does."""

import random
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.product_import import ProductImport
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.shop.medusa.schema import create_shop
from benchmarks.commerce_data import write_products
from support.runs import Runs, kill, moments
from support.servers import wait_until
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


@pytest.mark.long
def test_a_product_import_that_was_killed_is_undone_as_far_as_it_got(runs: Runs, products_file: Path):
    target: Engine = runs.workspace.target
    create_shop(target)
    runs.finish(new_import(runs, products_file).id)
    with target.begin() as connection:  # what the second import changes
        connection.execute(text("UPDATE product SET subtitle = 'before' WHERE handle LIKE '%1'"))
        connection.execute(text("UPDATE money_amount SET amount = amount + 1"))
    before = as_stored(target)
    job = new_import(runs, products_file)
    process = runs.claimed(job.id)
    wait_until(lambda: as_stored(target) != before, what="the first chunk")
    kill(process)
    assert runs.workspace.service.get(job.id).status is not Status.COMPLETED

    undo = runs.finish(runs.workspace.service.record("undo", {"job": job.id}).id)

    assert (undo.status, undo.result.rejected) == (Status.COMPLETED, 0)
    assert as_stored(target) == before


def as_stored(target: Engine) -> dict[str, list[str]]:
    """All rows of the catalogue, ids and times included."""
    with target.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(text(f"SELECT * FROM {table.name}"))))
            for table in ProductImport.writes
        }


def new_import(runs: Runs, products_file: Path) -> Job:
    with products_file.open("rb") as stream:
        key = runs.workspace.files.put(stream, "products.csv")
    return runs.workspace.service.record("product-import", {"fileKey": key})
