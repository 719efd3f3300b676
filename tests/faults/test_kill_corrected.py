"""Corrections go in exactly once, whatever is killed when."""

import random
from pathlib import Path

import pytest
from test_kill import counts, prepare_table, rejects, table, write_input

from batch_jobs.flows.jobs.given_corrections import Corrected
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from support.runs import Runs, moments

KILLS = 4
#: Every 97th row is bad; two of them stay so.
CORRECTED = [Corrected(i + 1, {"price": f"{i % 100}.50"}) for i in range(97, 9_700, 97)]


def corrected(runs: Runs, path: Path) -> Job:
    """An import that was previewed by one process, whose bad cells are corrected, previewed again and confirmed."""
    with path.open("rb") as stream:
        key = runs.workspace.files.put(stream, path.name)
    context = {"file_key": key, "table": "goods", "mode": "upsert", "key": ["id"]}
    job = runs.finish(runs.workspace.service.record("table-import", context, dry_run=True).id)
    after = runs.finish(runs.workspace.job_corrections.correct(job, CORRECTED, created_by="mara").id)
    assert after.awaits_confirmation
    return runs.workspace.service.confirm(after.id, "mara")


@pytest.mark.long
def test_corrected_rows_are_in_once_after_kills_at_any_moment(runs: Runs, tmp_path: Path):
    write_input(tmp_path / "goods.csv")
    prepare_table(runs)
    clean, seconds = runs.timed(corrected(runs, tmp_path / "goods.csv").id)
    expected = table(runs), counts(clean), rejects(runs, clean)
    assert (len(expected[0]), clean.result.rejected) == (9_997, 4)

    chance, left = random.Random(16), KILLS
    while left:
        prepare_table(runs)
        job = corrected(runs, tmp_path / "goods.csv")
        for _ in runs.kills(job.id, moments(chance, seconds), most=left):
            left -= 1
        done = runs.workspace.service.get(job.id)
        assert done.status is Status.COMPLETED
        assert (table(runs), counts(done), rejects(runs, done)) == expected
