"""An export in parts, killed: the file is of one snapshot, that of the attempt which wrote it."""

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from batch_jobs.flows.jobs.transitions import Status
from faults.conftest import TESTS, runs_of
from support.runs import moments

ROWS, KILLS = 8_000, 3


@pytest.mark.long
def test_a_killed_export_in_parts_has_the_rows_of_its_last_attempt_alone(
    postgres_url: str, tmp_path: Path, prefect_server: dict[str, str]
) -> None:
    with runs_of(TESTS / "support" / "strategies", postgres_url, tmp_path, prefect_server) as runs:
        target: Any = runs.workspace.target
        with target.begin() as connection:
            connection.execute(text("CREATE TABLE goods (id INTEGER PRIMARY KEY, attempt INTEGER)"))
            connection.execute(text(f"INSERT INTO goods SELECT n, 0 FROM generate_series(1, {ROWS}) n"))
        job_id, attempt = runs.workspace.service.record("goods-in-parts", {}, partitions=2).id, 0

        for _ in runs.kills(job_id, moments(random.Random(4), 4.0), KILLS):
            attempt += 1
            with target.begin() as connection:
                connection.execute(text(f"UPDATE goods SET attempt = {attempt}"))

        job = runs.workspace.service.get(job_id)
        assert job.status is Status.COMPLETED
        assert len(job.result.partitions) == 8
        assert (job.result.count, job.result.advancement_count) == (ROWS, ROWS)
        with runs.workspace.files.open(str(job.result.file_key)) as stream:
            lines = stream.read().decode().splitlines()
        assert lines == ["id,attempt", *(f"{n},{attempt}" for n in range(1, ROWS + 1))]
