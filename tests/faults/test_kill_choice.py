"""What a confirmation leaves out stays left out, whatever is killed when."""

import random
from pathlib import Path

import pytest
from test_kill import counts, prepare_table, rejects, table, write_input

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from support.runs import Runs, moments

KILLS = 4
WISH = {
    "keys": [7, 9_000],
    "columns": ["name"],
    "rules": [{"column": "price", "change_percent_above": 50}],
    "lines": [4_000],
}


def confirmed(runs: Runs, path: Path) -> Job:
    """An import that was previewed by one process, and confirmed but for some parts."""
    with path.open("rb") as stream:
        key = runs.workspace.files.put(stream, path.name)
    context = {"file_key": key, "table": "goods", "mode": "upsert", "key": ["id"]}
    job = runs.finish(runs.workspace.service.record("table-import", context, dry_run=True).id)
    assert job.awaits_confirmation
    return runs.workspace.service.confirm(job.id, "mara", leave_out=WISH)


@pytest.mark.long
def test_the_choice_survives_kills_at_any_moment(runs: Runs, tmp_path: Path):
    write_input(tmp_path / "goods.csv")
    prepare_table(runs)
    clean, seconds = runs.timed(confirmed(runs, tmp_path / "goods.csv").id)
    expected = table(runs), counts(clean), rejects(runs, clean)
    left_out = (clean.plan or {})["left_out"]
    assert left_out["columns"]["name"] > 0
    assert b"left out by its key" in expected[2]

    chance, left = random.Random(15), KILLS
    while left:
        prepare_table(runs)
        job = confirmed(runs, tmp_path / "goods.csv")
        for _ in runs.kills(job.id, moments(chance, seconds), most=left):
            left -= 1
        done = runs.workspace.service.get(job.id)
        assert (done.status, (done.plan or {})["left_out"]) == (Status.COMPLETED, left_out)
        assert (table(runs), counts(done), rejects(runs, done)) == expected
