"""The fixtures of `batch_jobs.testing`, in the pytest of somebody's project."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from batch_jobs.strategies.table_import import TableImport
from batch_jobs.testing import Files, Rejected, Runner, rows_in

pytest_plugins = ["batch_jobs.testing"]

PROJECT = """
from sqlalchemy import text
from batch_jobs.testing import rows_in

pytest_plugins = ["batch_jobs.testing"]


def test_alone(target, files, run):
    assert files.list() == []
    with target.begin() as connection:
        connection.execute(text("CREATE TABLE names (name VARCHAR(10) PRIMARY KEY)"))
        connection.execute(text("INSERT INTO names VALUES ('b'), ('a')"))
    assert rows_in(target, "names") == [{"name": "a"}, {"name": "b"}]


test_alone_again = test_alone
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "test_project.py").write_text(PROJECT)
    return tmp_path


def pytest_says(project: Path, **variables: str) -> str:
    """What pytest prints at the end of a project's tests."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-W", "error", "-p", "no:cacheprovider", "-c", os.devnull, str(project)],
        env={**os.environ, **variables},
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_each_test_has_a_fresh_target_and_files(project: Path):
    said = pytest_says(project, BATCH_JOBS_TEST_POSTGRESQL="")

    assert "2 passed" in said
    assert "[" not in said.split("test_alone ")[1].split()[0]


def test_a_postgresql_is_a_target_too_where_the_environment_names_one(project: Path, postgres_url: str):
    said = pytest_says(project, BATCH_JOBS_TEST_POSTGRESQL=postgres_url)

    assert "test_alone[postgresql]" in said
    assert "4 passed" in said
    with create_engine(postgres_url).connect() as connection:
        left = text("SELECT datname FROM pg_database WHERE datname LIKE 'batch_jobs_test_%'")
        assert connection.scalars(left).all() == []


def test_fixtures_import_nothing_heavy_before_they_are_used():
    light = "import sys; import batch_jobs.strategies.testing.fixtures"
    asked = 'print(sorted({"pandas", "pyarrow", "sqlalchemy"} & sys.modules.keys()))'
    said = subprocess.run([sys.executable, "-c", f"{light}; {asked}"], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["goods.csv", "goods.tsv", "goods.jsonl", "goods.parquet", "goods.xlsx"])
def test_a_frame_is_put_as_a_file_of_any_format(run: Runner, files: Files, target, name: str):
    key = files.add(name, pd.DataFrame({"code": ["a", "b"], "stock": [1, 2]}))

    done = run(TableImport(), {"file_key": key, "table": "goods"})

    assert done.result.created == 2
    assert rows_in(target, "goods") == [{"code": "a", "stock": 1}, {"code": "b", "stock": 2}]


def test_a_frame_is_not_put_as_a_file_of_no_format(files: Files):
    with pytest.raises(ValueError, match=r"a frame is written as \.csv, .*, and not as goods\.pdf; give its text"):
        files.add("goods.pdf", pd.DataFrame({"code": ["a"]}))


def test_a_run_has_result_plan_and_rejects(run: Runner, files: Files, target):
    keys = [files.add("a.csv", b"code,stock\na,1\nb,many\n"), files.add("b.csv", 'code,stock\n"c, d",none\ne,2\n')]
    context = {"file_key": keys, "table": "goods", "types": {"stock": "integer"}}

    looked = run(TableImport(), context, dry_run=True)
    done = run(TableImport(), context, chunk_size=1)

    assert looked.plan["counts"] == done.plan["counts"]
    assert (looked.result.created, done.result.created) == (0, 2)
    assert done.rejects == looked.rejects
    assert [(row.line, row.row, row.file) for row in done.rejects] == [
        (3, {"code": "b", "stock": "many"}, keys[0]),
        (2, {"code": "c, d", "stock": "none"}, keys[1]),
    ]
    assert isinstance(done.rejects[0], Rejected)
    assert done.rejects[0].reason.startswith("stock: ")
    assert done.output is None
