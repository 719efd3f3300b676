"""S1, S5, S24: whatever dies when, an import ends as a clean run does."""

import os
import random
import subprocess
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.transitions import Action, Status
from support.runs import Runs, moments

ROWS = 10_000
KILLS = int(os.environ.get("BATCH_JOBS_TEST_KILLS", "12"))


def write_input(path: Path) -> None:
    """10,000 rows of which every 97th is bad, over a table that has every fifth already, half of those unchanged."""
    with path.open("w") as file:
        file.write("id,name,price\n")
        for i in range(1, ROWS + 1):
            file.write(f"{i},name {i},{'dear' if i % 97 == 0 else f'{i % 100}.50'}\n")


def prepare_table(runs: Runs) -> None:
    with runs.workspace.target.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS goods"))
        connection.execute(text("CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC(10, 2))"))
        rows = [
            {"id": i, "name": f"name {i}" if i % 10 else "old", "price": float(f"{i % 100}.50")}
            for i in range(5, ROWS + 1, 5)
        ]
        connection.execute(text("INSERT INTO goods VALUES (:id, :name, :price)"), rows)


def new_import(runs: Runs, path: Path) -> Job:
    with path.open("rb") as stream:
        key = runs.workspace.files.put(stream, path.name)
    context = {"file_key": key, "table": "goods", "mode": "upsert", "key": ["id"]}
    return runs.workspace.service.record("table-import", context)


def table(runs: Runs) -> list[tuple[object, ...]]:
    with runs.workspace.target.connect() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT id, name, price FROM goods ORDER BY id"))]


def rejects(runs: Runs, job: Job) -> bytes:
    with runs.workspace.files.open(job.result.rejects_file_key or "") as stream:
        return stream.read()


def counts(job: Job) -> tuple[object, ...]:
    result = job.result
    return (
        result.count, result.advancement_count, result.progress,
        result.created, result.updated, result.unchanged, result.rejected,
    )  # fmt: skip


@pytest.mark.long
def test_S1_an_import_killed_at_random_moments_and_retried_ends_as_a_clean_run(runs: Runs, tmp_path: Path):
    write_input(tmp_path / "goods.csv")
    prepare_table(runs)
    clean, seconds = runs.timed(new_import(runs, tmp_path / "goods.csv").id)
    expected = table(runs), counts(clean), rejects(runs, clean)
    assert counts(clean)[3:] == (7918, 990, 990, 103) or sum(counts(clean)[3:]) == ROWS

    chance, left = random.Random(4711), KILLS
    while left:
        prepare_table(runs)
        job = new_import(runs, tmp_path / "goods.csv")
        shown = 0
        for killed in runs.kills(job.id, moments(chance, seconds), most=left):
            left -= 1
            assert killed.result.advancement_count >= shown, "progress went down"
            shown = killed.result.advancement_count
        done = runs.workspace.service.get(job.id)
        assert done.status is Status.COMPLETED
        assert (table(runs), counts(done), rejects(runs, done)) == expected


def test_a_kill_after_the_last_chunk_before_the_status_is_saved_repeats_nothing(runs: Runs):
    killed_once(runs, "process")


def test_a_kill_while_pre_processing_starts_over(runs: Runs):
    killed_once(runs, "pre_process")


def test_a_kill_while_post_processing_only_repeats_that(runs: Runs):
    killed_once(runs, "post_process")


def killed_once(runs: Runs, where: str) -> None:
    job = runs.workspace.service.record("counting", {"limit": 4, "kill_in": where})
    assert runs.start(job.id).wait(timeout=120) == -9
    assert runs.workspace.service.get(job.id).status is not Status.COMPLETED
    done = runs.finish(job.id)
    assert (done.status, done.attempt, done.result.created, done.result.advancement_count) == (
        Status.COMPLETED,
        2,
        4,
        4,
    )
    written_by = 2 if where == "pre_process" else 1
    with runs.workspace.target.connect() as connection:
        rows = connection.execute(text("SELECT i, attempt FROM numbers ORDER BY i")).all()
    assert [tuple(row) for row in rows] == [(i, written_by) for i in range(1, 5)]


def test_a_kill_between_two_attempts_leaves_a_job_that_can_be_retried(runs: Runs):
    job = runs.workspace.service.record("counting", {"limit": 4})
    gone = subprocess.Popen(["true"])
    dead = ProcessIdentity(ProcessIdentity.current().host, gone.pid, time.time())
    gone.wait()
    runs.workspace.store.move(job, Action.FAIL, who="test")
    assert runs.workspace.service.retry(job.id, who="test", worker=dead).status is Status.CREATED
    done = runs.finish(job.id)
    assert (done.status, done.attempt) == (Status.COMPLETED, 3)


def test_S24_of_two_processes_racing_for_one_job_one_wins(runs: Runs):
    job = runs.workspace.service.record("counting", {"limit": 50})
    racers = [runs.start(job.id) for _ in range(2)]
    codes = [racer.wait() for racer in racers]
    errors = [racer.errors() for racer in racers]
    assert sorted(codes) == [0, 1], errors
    loser = errors[codes.index(1)]
    assert f"{job.id} is being run by process" in loser or f"{job.id} is completed" in loser
    with runs.workspace.target.connect() as connection:
        assert list(connection.scalars(text("SELECT i FROM numbers ORDER BY i"))) == list(range(1, 51))
    assert runs.workspace.service.get(job.id).result.created == 50
