"""Strategies in pandas, those of the examples, killed at random moments: each ends as one run does."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest
from sqlalchemy import text

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from support.pages import pages_of
from support.runs import Runs, moments

ROWS = 4_000
KILLS = 4
PRICES = "Art.-Nr.;Name;Net\n" + "".join(f"{n:05};Thing {n};{n % 97}.{n % 10}0\n" for n in range(1, ROWS + 1))
ITEMS = [{"code": f"{n:06}", "title": f" Thing {n}" if n % 50 else " ", "price": n / 4} for n in range(1, ROWS + 1)]


@dataclass
class Example:
    """A strategy: the table it needs and fills, how that is filled, its context, and how many rows are rejects."""

    type: str
    table: str
    create: str
    rows: list[dict[str, Any]]
    context: Callable[[Runs], Any]
    rejected: int
    written: int


@contextmanager
def no_context(runs: Runs) -> Iterator[dict[str, Any]]:
    yield {}


@contextmanager
def a_file(runs: Runs) -> Iterator[dict[str, Any]]:
    yield {"file_key": runs.workspace.files.put(BytesIO(PRICES.encode()), "prices.csv")}


@contextmanager
def an_api(runs: Runs) -> Iterator[dict[str, Any]]:
    with pages_of(ITEMS, 150) as url:
        yield {"url": url}


def count(condition: Callable[[int], bool]) -> int:
    return sum(condition(n) for n in range(1, ROWS + 1))


EXAMPLES = [
    Example(
        "supplier-prices",
        "supplier_price",
        "CREATE TABLE supplier_price (code VARCHAR(20) PRIMARY KEY, price NUMERIC(10, 2))",
        [{"code": f"{n:08}", "price": 1} for n in range(1, 500, 5)],
        a_file,
        count(lambda n: n % 97 == 0 and n % 10 == 0),
        ROWS,
    ),
    Example(
        "product-handles",
        "product_page",
        "CREATE TABLE product_page (id INTEGER PRIMARY KEY, title TEXT, handle TEXT)",
        [
            {"id": n, "title": f" Thing  {n} " if n % 100 else "!!", "handle": None if n % 7 else "kept"}
            for n in range(1, ROWS + 1)
        ],
        no_context,
        count(lambda n: n % 100 == 0 and n % 7 != 0),
        count(lambda n: n % 7 != 0),
    ),
    Example(
        "stock-value",
        "stock_level",
        "CREATE TABLE stock_level (code VARCHAR(20) PRIMARY KEY, price NUMERIC(10, 2), stock INTEGER)",
        [{"code": f"{n:08}", "price": 1.5, "stock": n % 9} for n in range(1, ROWS + 1)],
        no_context,
        0,
        count(lambda n: n % 9 > 0),
    ),
    Example(
        "catalogue-feed",
        "catalogue",
        "CREATE TABLE catalogue (code VARCHAR(20) PRIMARY KEY, title TEXT, price DOUBLE PRECISION)",
        [{"code": f"{n:06}", "title": "old", "price": 0} for n in range(1, 300)],
        an_api,
        0,
        ROWS,
    ),
]


def prepare(runs: Runs, example: Example) -> None:
    columns = ", ".join(f":{name}" for name in example.rows[0])
    with runs.workspace.target.begin() as connection:
        connection.execute(text(f"DROP TABLE IF EXISTS {example.table}"))
        connection.execute(text(example.create))
        connection.execute(text(f"INSERT INTO {example.table} VALUES ({columns})"), example.rows)


def outcome(runs: Runs, example: Example, job: Job) -> tuple[Any, ...]:
    with runs.workspace.target.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(f"SELECT * FROM {example.table} ORDER BY 1"))]
    result, files = job.result, []
    for key in (result.file_key, result.rejects_file_key):
        if key:
            with runs.workspace.files.open(key) as stream:
                files.append(stream.read())
    counts = result.created, result.updated, result.unchanged, result.rejected, result.advancement_count
    return rows, files, counts


@pytest.mark.long
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.type)
def test_an_example_killed_at_random_moments_and_retried_ends_as_a_clean_run(example_runs: Runs, example: Example):
    with example.context(example_runs) as context:
        prepare(example_runs, example)
        record = example_runs.workspace.service.record
        clean, seconds = example_runs.timed(record(example.type, context).id)
        expected = outcome(example_runs, example, clean)
        assert (clean.result.rejected, clean.result.advancement_count) == (example.rejected, example.written)

        prepare(example_runs, example)
        job, shown = record(example.type, context), 0
        for killed in example_runs.kills(job.id, moments(random.Random(4711), seconds), most=KILLS):
            assert killed.result.advancement_count >= shown or example.type == "stock-value", "progress went down"
            shown = killed.result.advancement_count
        done = example_runs.workspace.service.get(job.id)
        assert done.status is Status.COMPLETED
        assert outcome(example_runs, example, done) == expected
