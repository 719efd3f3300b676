"""A back-fill in pandas in partitions."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
from sqlalchemy import Engine

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.partitioning import Partitioning
from batch_jobs.strategies.tables.frames.frame_update import FrameUpdate
from support.partitions import BreakingOff, InAnyOrder

ROWS = 41
Sql = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def target(postgres_url: str) -> Iterator[Engine]:
    engine = make_engine(postgres_url)
    yield engine
    engine.dispose()


class Reprice(FrameUpdate):
    """Half the price of what costs something."""

    identifier, batch_type = "reprice-strategy", "reprice"
    table, columns = "goods", ("name", "price")
    where: ClassVar[str] = "stock > 1"

    def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        job.reject_rows(frame["price"] == 5, "price", "is five")
        return frame[frame["price"] != 3].assign(price=frame["price"] / 2)


@pytest.fixture
def fill(run_sql: Sql) -> Callable[[str], None]:
    def fill(more: str = "") -> None:
        run_sql("DROP TABLE IF EXISTS goods")
        run_sql(
            "CREATE TABLE goods (shelf INTEGER, code TEXT, name TEXT, price NUMERIC(10, 2) CHECK (price <> 4.5), "
            f"stock INTEGER{more}, PRIMARY KEY (shelf, code))"
        )
        values = (f"({row % 3}, 'c{row}', 'name {row}', {row % 10}, {row % 4})" for row in range(ROWS))
        run_sql(f"INSERT INTO goods VALUES {', '.join(values)}")

    return fill


def update(target: Engine, files: FileStore, job_id: str, how: Partitioning | None) -> JobRun:
    parts = JobParts(target, files, CheckpointStore(target, job_id, 1), chunk_size=2)
    job = JobRun(JobIdentity(job_id, "reprice", Reprice.Context()), parts)
    strategy = Reprice()
    hooks.pre_process(strategy, job)
    hooks.process(strategy, job, how)
    hooks.post_process(strategy, job)
    return job


def test_partitions_leave_what_one_process_leaves(
    target: Engine, run_sql: Sql, fill: Callable[[str], None], tmp_path: Path
):
    found, files = [], FileStore(str(tmp_path))
    for number, how in enumerate((None, InAnyOrder(), InAnyOrder(size=5, at_once=4))):
        fill("")
        job = update(target, files, f"batch_{number}", how)
        assert job.result.rejects_file_key is not None
        with files.open(job.result.rejects_file_key) as stream:
            rejects = stream.read()
        counts = (job.result.updated, job.result.rejected, job.result.advancement_count, job.result.progress)
        found.append((run_sql("SELECT * FROM goods ORDER BY shelf, code"), counts, rejects))
    assert found[0] == found[1] == found[2]
    assert len(job.result.partitions) == 5
    assert sum(entry.rows or 0 for entry in job.result.partitions) == job.result.count


def test_a_partition_goes_on_behind_its_last_key(
    target: Engine, run_sql: Sql, fill: Callable[[str], None], tmp_path: Path
):
    fill("")
    expected = update(target, FileStore(str(tmp_path)), "batch_whole", None)
    rows = run_sql("SELECT * FROM goods ORDER BY shelf, code")
    fill("")
    files = FileStore(str(tmp_path / "again"))
    job = JobRun(
        JobIdentity("batch_cut", "reprice", Reprice.Context()),
        JobParts(target, files, CheckpointStore(target, "batch_cut", 1), chunk_size=2),
    )
    strategy = Reprice()
    hooks.pre_process(strategy, job)
    with pytest.raises(Exception, match="partitions failed"):
        hooks.process(strategy, job, InAnyOrder(checkpoints=BreakingOff))
    again = JobRun(
        JobIdentity("batch_cut", "reprice", Reprice.Context(), attempt=2),
        JobParts(target, files, CheckpointStore(target, "batch_cut", 2), chunk_size=2),
        plan=job.plan,
    )
    hooks.process(strategy, again, InAnyOrder(claim=2))

    assert run_sql("SELECT * FROM goods ORDER BY shelf, code") == rows
    assert again.result.updated == expected.result.updated


def test_rows_that_may_depend_on_each_other_are_changed_in_their_order(
    target: Engine, run_sql: Sql, fill: Callable[[str], None], tmp_path: Path
):
    fill("")
    run_sql("CREATE UNIQUE INDEX of_names ON goods (name)")

    job = update(target, FileStore(str(tmp_path)), "batch_1", InAnyOrder())

    lines = {line.key: line.message for line in job.result.stat_descriptors}
    assert lines["partitions"].startswith("one: ")
    assert "of_names" in lines["partitions"]
    assert job.result.partitions == []
