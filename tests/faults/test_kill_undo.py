"""Whatever dies when, an undo ends as a clean one does, and takes back what a killed import had got in."""

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from batch_jobs.flows.errors import NotUndoable
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from support.runs import Runs, kill, moments
from support.servers import wait_until

ROWS = 4_000
KILLS = 5


def prepare(runs: Runs, path: Path) -> list[tuple[Any, ...]]:
    """A table of every second row, and a file of all of which those are changed."""
    path.write_text("id,name,price\n" + "".join(f"{i},name {i},{i % 100}.50\n" for i in range(1, ROWS + 1)))
    with runs.workspace.target.begin() as connection:
        connection.execute(text("CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC(10, 2))"))
        rows = [{"id": i, "name": f"old {i}", "price": float(f"{i % 100}.50")} for i in range(2, ROWS + 1, 2)]
        connection.execute(text("INSERT INTO goods VALUES (:id, :name, :price)"), rows)
    return table(runs)


def table(runs: Runs) -> list[tuple[Any, ...]]:
    with runs.workspace.target.connect() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT id, name, price FROM goods ORDER BY id"))]


def new_import(runs: Runs, path: Path) -> Job:
    with path.open("rb") as stream:
        key = runs.workspace.files.put(stream, path.name)
    return runs.workspace.service.record("table-import", {"file_key": key, "table": "goods", "mode": "upsert"})


def new_undo(runs: Runs, job: Job) -> Job:
    return runs.workspace.service.record("undo", {"job": job.id})


@pytest.mark.long
def test_an_undo_killed_at_random_moments_and_retried_ends_as_a_clean_one(runs: Runs, tmp_path: Path):
    before = prepare(runs, tmp_path / "goods.csv")
    job, seconds = runs.timed(new_import(runs, tmp_path / "goods.csv").id)
    after = table(runs)
    with runs.workspace.target.begin() as connection:
        connection.execute(text("UPDATE goods SET name = 'mine' WHERE id = 77 OR id = 78"))
    kept = [(77, "mine", after[76][2]), (78, "mine", after[77][2])]
    expected = sorted([row for row in before if row[0] != 78] + kept)

    undo, shown = new_undo(runs, job), 0
    for killed in runs.kills(undo.id, moments(random.Random(4711), seconds), most=KILLS):
        assert killed.result.advancement_count >= shown, "progress went down"
        shown = killed.result.advancement_count

    done = runs.workspace.service.get(undo.id)
    assert done.status is Status.COMPLETED
    assert table(runs) == expected
    result = done.result
    assert (result.updated, result.removed, result.rejected) == (ROWS // 2 - 1, ROWS // 2 - 1, 2)

    redo = runs.finish(new_undo(runs, done).id)
    assert redo.status is Status.COMPLETED
    assert sorted(table(runs)) == sorted([row for row in after if row[0] not in (77, 78)] + kept)


@pytest.mark.long
def test_an_import_that_was_killed_is_undone_as_far_as_it_got_and_does_not_go_on(runs: Runs, tmp_path: Path):
    before = prepare(runs, tmp_path / "goods.csv")
    job = new_import(runs, tmp_path / "goods.csv")
    process = runs.claimed(job.id)
    wait_until(lambda: table(runs) != before, what="the first chunk")
    kill(process)

    undo = runs.finish(new_undo(runs, job).id)

    assert undo.status is Status.COMPLETED
    assert table(runs) == before
    with pytest.raises(NotUndoable, match="cannot go on"):
        runs.workspace.service.retry(job.id, who="test")


@pytest.mark.long
def test_an_undo_that_is_confirmed_in_part_leaves_that_part_out_whatever_dies(runs: Runs, tmp_path: Path):
    before = prepare(runs, tmp_path / "goods.csv")
    job, seconds = runs.timed(new_import(runs, tmp_path / "goods.csv").id)
    after = table(runs)
    service = runs.workspace.service
    undo = runs.finish(service.record("undo", {"job": job.id}, dry_run=True).id)
    stay = [3, 4, 2_000, 2_001]
    service.confirm(undo.id, "mara", leave_out={"keys": stay, "lines": [ROWS + 1]})
    for _ in runs.kills(undo.id, moments(random.Random(1512), seconds), most=KILLS):
        pass

    done = service.get(undo.id)
    assert done.status is Status.COMPLETED
    kept = {row[0]: row for row in after if row[0] in (*stay, ROWS)}
    assert table(runs) == sorted({**{row[0]: row for row in before}, **kept}.values())
    assert (done.result.rejected, (done.plan or {})["left_out"]["rows"]) == (5, 5)
    assert done.result.updated + done.result.removed == ROWS - 5
