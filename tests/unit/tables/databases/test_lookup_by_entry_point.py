"""A database from another package, found by its entry point."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from batch_jobs.strategies.sdk.database import database_named, database_of, is_database_url, make_engine
from batch_jobs.strategies.sdk.errors import DatabaseUnsupported
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.testing import run_strategy
from batch_jobs.strategies.table_import import TableImport

TOY = """
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from batch_jobs.strategies.tables.databases.sqlite import Sqlite


class ToyDialect(SQLiteDialect_pysqlite):
    name = "toydb"
    supports_statement_cache = True


registry.register("toydb", __name__, "ToyDialect")


class Toy(Sqlite):
    name = "toydb"
    max_columns = 3
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package with a database, installed as far as entry points are concerned."""
    (tmp_path / "toydb_for_jobs.py").write_text(TOY)
    (tmp_path / "toydb_for_jobs-1.0.dist-info").mkdir()
    (tmp_path / "toydb_for_jobs-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: toydb-for-jobs\nVersion: 1.0\n"
    )
    (tmp_path / "toydb_for_jobs-1.0.dist-info" / "entry_points.txt").write_text(
        "[batch_jobs.databases]\ntoydb = toydb_for_jobs:Toy\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("toydb_for_jobs", None)
    database_named.cache_clear()


def test_a_file_is_imported_into_a_database_of_another_package(toy: None, tmp_path: Path):
    files = FileStore(str(tmp_path / "files"))
    with files.writing("goods.csv") as stream:
        stream.write(b"code,price\n1,10\n2,20\n")
    engine = make_engine(f"toydb:///{tmp_path / 'toy.db'}")

    context = {"file_key": "goods.csv", "table": "goods", "mode": "upsert", "key": ["code"]}
    result = run_strategy(TableImport(), context, target=engine, files=files)

    assert database_of(engine).name == "toydb"
    assert result.created == 2
    with engine.connect() as connection:
        assert connection.execute(text("SELECT code, price FROM goods")).all() == [(1, 10), (2, 20)]
    engine.dispose()


def test_a_database_that_nobody_has_brought_is_refused_in_one_line():
    with pytest.raises(DatabaseUnsupported) as refused:
        make_engine("oracle://somewhere/db")

    assert str(refused.value) == "jobs work with databases of postgres, postgresql, sqlite; this one is oracle"
    assert not is_database_url("oracle://somewhere/db")
    assert not is_database_url("no url")
    assert is_database_url("postgres://somewhere/db")


def test_finding_a_database_loads_nothing_that_only_work_on_rows_needs():
    code = (
        "import sys, batch_jobs.strategies; from batch_jobs.strategies.sdk.database import database_named; "
        "database_named('sqlite'); print(sorted({'pyarrow', 'pandas', 'numpy', 'psycopg'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
