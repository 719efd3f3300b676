"""One CSV file into an empty keyed table, by us and by what else one would take, in turns in one run.

Peers are optional: ``pip install -e '.[peers]'`` brings those of PyPI, ``pgloader`` and ``sqlite3`` are programs of a
distribution. What is not there is named and left out.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from rich.table import Table as Shown

from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.table_import import TableImport
from benchmarks import ours
from benchmarks.data import TABLE
from benchmarks.databases import Postgres
from benchmarks.report import console, seconds
from benchmarks.table_import import CONTEXT, copy_and_upsert, executemany, raw_copy

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
OURS = "table-import, the whole job"

Load = Callable[[str, Path], None]


@dataclass(frozen=True)
class Peer:
    """What loads a file into ``goods`` of a database, by its URL; ``modules`` and ``programs`` are what it needs."""

    name: str
    load: Load
    modules: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    table: str = "goods"

    @property
    def lacks(self) -> list[str]:
        """What it needs and is not installed."""
        return [
            *(name for name in self.modules if find_spec(name) is None),
            *(name for name in self.programs if shutil.which(name) is None),
        ]


def by_us(url: str, path: Path) -> None:
    """Preview, checks, checkpoints and all."""
    engine, strategy = make_engine(url), TableImport()
    # the file is where a store has it, as the peers have it where they read it
    job = ours.open_job(strategy, {**CONTEXT, "file_key": path.name}, engine, path.parent)
    ours.run(strategy, job)
    engine.dispose()


def by_polars(url: str, path: Path) -> None:
    """Appended: it has no upsert."""
    import polars

    texts = {"price": polars.String, "cost": polars.String, "id": polars.Int32, "stock": polars.Int32}
    frame = polars.read_csv(path, try_parse_dates=True, schema_overrides=texts).with_columns(
        polars.col("price", "cost").cast(polars.Decimal(10, 2)), polars.col("active").cast(polars.Boolean)
    )
    frame.write_database("goods", url, engine="adbc", if_table_exists="append")


def by_pgloader(url: str, path: Path) -> None:
    """Appended, in batches, by a program of its own."""
    at = conninfo_to_dict(url)
    server = f"unix:{at['host']}:{at.get('port', 5432)}" if at["host"].startswith("/") else at["host"]
    target = f"postgresql://{at['user']}@{server}/{at['dbname']}"
    commands = path.with_suffix(".load")
    commands.write_text(
        f"LOAD CSV FROM '{path}' INTO {target} TARGET TABLE public.goods\n"
        "WITH skip header = 1, fields terminated by ',', fields optionally enclosed by '\"';\n"
    )
    _run("pgloader", "--quiet", "--on-error-stop", str(commands))


def by_dlt(url: str, path: Path) -> None:
    """Merged by its key, by way of a staging table, in a schema of its own."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt
    from pyarrow import csv as arrow_csv

    resource = dlt.resource(
        lambda: (yield arrow_csv.read_csv(path)),
        name="goods",
        primary_key="id",
        write_disposition={"disposition": "merge", "strategy": "upsert"},
    )
    pipeline = dlt.pipeline(
        "peers",
        pipelines_dir=str(path.parent / "dlt" / conninfo_to_dict(url)["dbname"]),
        # it insists on a host, which that of the query then takes the place of
        destination=dlt.destinations.postgres(url.replace("@/", "@localhost/", 1)),
        dataset_name="dlt",
    )
    pipeline.run(resource, loader_file_format="csv").raise_on_failed_jobs()


def by_sqlite3(url: str, path: Path) -> None:
    """Appended, by the program of SQLite."""
    _run("sqlite3", _file(url), f".import --csv --skip 1 {path} goods")


def by_sqlite_utils(url: str, path: Path) -> None:
    """By its command, whose cells are texts."""
    upsert = (sys.executable, "-m", "sqlite_utils", "upsert")
    _run(*upsert, _file(url), "goods", str(path), "--csv", "--pk", "id", "--silent")


ON_POSTGRESQL = (
    Peer(OURS, by_us),
    Peer("COPY, by hand, no upsert", raw_copy),
    Peer("COPY + INSERT ON CONFLICT, by hand", copy_and_upsert),
    Peer("polars + ADBC, no upsert", by_polars, ("polars", "adbc_driver_postgresql")),
    Peer("pgloader, no upsert", by_pgloader, programs=("pgloader",)),
    Peer("dlt, merge", by_dlt, ("dlt",), table="dlt.goods"),
)
ON_SQLITE = (
    Peer(OURS, by_us),
    Peer("csv.reader + executemany, by hand", lambda url, path: executemany(Path(_file(url)), path)),
    Peer("sqlite3 .import, no upsert", by_sqlite3, programs=("sqlite3",)),
    Peer("sqlite-utils upsert", by_sqlite_utils, ("sqlite_utils",)),
)


def measure(work: Path, goods: Path, rows: int) -> None:
    """Both databases, the peers of each in turns."""
    postgres = Postgres(work / "pg")
    _compare("PostgreSQL", ON_POSTGRESQL, lambda: _on_postgres(postgres), goods, rows)
    postgres.stop()
    _compare("SQLite", ON_SQLITE, lambda: _on_sqlite(work), goods, rows)


Database = Callable[[], AbstractContextManager[tuple[str, Callable[[str], int]]]]


def _compare(name: str, peers: tuple[Peer, ...], database: Database, goods: Path, rows: int) -> None:
    there = [peer for peer in peers if not peer.lacks]
    times: dict[str, list[float]] = {peer.name: [] for peer in there}
    for _ in range(ROUNDS):
        for peer in there:
            with database() as (url, count):
                times[peer.name].append(seconds(lambda peer=peer, url=url: peer.load(url, goods)))  # type: ignore[misc]
                assert count(peer.table) == rows, f"{peer.name} left rows out"
    title = f"{rows:,} rows x 10 columns into an empty keyed table of {name}, best of {ROUNDS}"
    shown = Shown("", "seconds", "rows/s", "times ours", title=title, title_justify="left", show_edge=False)
    best = {name: min(taken) for name, taken in times.items()}
    for peer, taken in best.items():
        shown.add_row(peer, f"{taken:.2f}", f"{rows / taken:,.0f}", f"{taken / best[OURS]:.2f}")
    console.print(shown)
    for absent in (peer for peer in peers if peer.lacks):
        console.print(f"  left out: {absent.name}; not installed: {', '.join(absent.lacks)}")
    console.print()


@contextmanager
def _on_postgres(postgres: Postgres) -> Iterator[tuple[str, Callable[[str], int]]]:
    with postgres.database() as uri, psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(TABLE)
        yield uri, lambda table: _count(connection, table)


@contextmanager
def _on_sqlite(work: Path) -> Iterator[tuple[str, Callable[[str], int]]]:
    path = work / "peers.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(TABLE)
    yield f"sqlite:///{path}", lambda table: _count(connection, table)
    connection.close()
    for left in work.glob("peers.db*"):
        left.unlink()


def _count(connection: Any, table: str) -> int:
    (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(rows)


def _file(url: str) -> str:
    return url.removeprefix("sqlite:///")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
