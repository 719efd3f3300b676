"""A disk is full: one line says which, and nothing is left half-written."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.runs.flow import build_flow
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace, current_workspace
from support.api_server import STRATEGIES, served_with
from support.command_line import CommandLine
from support.small_disk import fill, small_disk

CSV = b"id,text\n" + b"".join(b"%d,%s\n" % (i, b"x" * 90) for i in range(30_000))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "ballast"]


def test_an_upload_into_a_full_file_store_is_507(tmp_path: Path, disk: Path):
    with served_with(Settings(home=tmp_path / "home", files_url=disk.as_uri(), api_port=0)) as served:
        refused = served.by("alice").post("/admin/uploads", files={"files": ("big.csv", CSV)})
        assert (refused.status_code, refused.json()["message"]) == (507, "the file store is full; nothing was stored")
        assert files_in(disk) == []
        taken = served.by("alice").post("/admin/uploads", files={"files": ("small.csv", b"a\n1\n")})
        assert taken.status_code == 200


def test_a_request_that_a_full_job_database_cannot_record_is_507(tmp_path: Path, disk: Path):
    url = f"sqlite:///{disk / 'jobs.db'}"
    home, strategies = tmp_path / "home", str(STRATEGIES)
    settings = Settings(home=home, database_url=url, strategies=strategies, api_port=0)
    with served_with(settings) as served:
        fill(disk)
        statuses = set()
        for _ in range(40):  # until what the database had set aside is used up
            body = {"type": "noting", "context": {"note": "x" * 9_000}, "dry_run": True}
            answer = served.by("alice").post("/admin/batch-jobs", json=body)
            statuses.add(answer.status_code)
            if answer.status_code == 507:
                break
        assert 507 in statuses, statuses
        assert answer.json()["message"].startswith("the job database is full, nothing was recorded; error id ")
        assert served.by("alice").get("/admin/batch-jobs").status_code == 200


def test_commands_name_what_is_full(tmp_path: Path, disk: Path):
    (tmp_path / "big.csv").write_bytes(CSV)
    store = CommandLine(BATCH_JOBS_HOME=str(tmp_path / "home"), BATCH_JOBS_FILES_URL=disk.as_uri())
    put = store("files", "put", str(tmp_path / "big.csv"))
    assert (put.code, put.error) == (
        2,
        f"the file store (BATCH_JOBS_FILES_URL, {disk}) is full: no space is left on its disk; make room and try again",
    )
    assert files_in(disk) == []

    elsewhere = CommandLine(BATCH_JOBS_HOME=str(tmp_path / "home"))
    key = elsewhere("files", "put", str(tmp_path / "big.csv")).out.strip()
    got = elsewhere("files", "get", key, "-o", str(disk / "out.csv"))
    assert (got.code, got.error.split(";")[0]) == (1, f"{disk / 'out.csv'}: No space left on device")
    assert files_in(disk) == []


def test_a_full_home_is_named(tmp_path: Path, disk: Path):
    fill(disk)
    full = CommandLine(BATCH_JOBS_HOME=str(disk))
    for command in (("list",), ("run", "table-import", "-c", "file_key=a.csv", "-c", "table=t"), ("serve",)):
        refused = full(*command)
        assert refused.code == 1
        assert "is full" in refused.error or "No space left" in refused.error
        assert "BATCH_JOBS_HOME" in refused.error or "BATCH_JOBS_DATABASE_URL" in refused.error


def run_import(workspace: Workspace, folder: Path) -> Any:
    (folder / "big.csv").write_bytes(CSV)
    with (folder / "big.csv").open("rb") as stream:
        key = workspace.files.put(stream, "big.csv")
    job = workspace.service.record("table-import", {"file_key": key, "table": "goods"})
    flow = build_flow(workspace.strategies.by_type["table-import"])
    flow(context=job.context, job_id=job.id, return_state=True)
    return workspace.service.get(job.id)


def test_a_full_target_fails_its_job_by_name(
    home: Path, prefect_here: None, tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BATCH_JOBS_TARGET_URL", f"sqlite:///{disk / 'data.db'}")
    job = run_import(current_workspace(), tmp_path)
    assert job.status is Status.FAILED
    assert job.result.errors[-1].message.startswith("the database of BATCH_JOBS_TARGET_URL is full: database or disk")
    assert current_workspace().store.newest(JobFilter(), 1)[0].status is Status.FAILED


def test_a_full_postgresql_fails_its_job_by_name(
    home: Path,
    prefect_here: None,
    pg_server: Any,
    postgres_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        data = Path(str(connection.execute("SHOW data_directory").fetchone()[0]))  # type: ignore[index]
        with small_disk(data.parent / "small") as disk:
            space = disk / "space"
            space.mkdir()
            os.chown(space, data.stat().st_uid, data.stat().st_gid)
            connection.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
            try:
                connection.execute("CREATE TABLE goods (id INTEGER, text TEXT) TABLESPACE small")
                monkeypatch.setenv("BATCH_JOBS_TARGET_URL", postgres_url)
                job = run_import(current_workspace(), tmp_path)
                current_workspace().target.dispose()
            finally:
                connection.execute("DROP TABLE IF EXISTS goods")
                connection.execute("CHECKPOINT")
                connection.execute("DROP TABLESPACE small")
    assert job.status is Status.FAILED
    assert job.result.errors[-1].message.startswith("the database of BATCH_JOBS_TARGET_URL is full: could not ")
    assert "\n" not in job.result.errors[-1].message
