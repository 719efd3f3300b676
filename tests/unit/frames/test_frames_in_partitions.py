"""A strategy in pandas in partitions."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.frames.source_reader import FrameChunk
from support.importing import Importing
from support.partitions import InAnyOrder

NOTE = "x" * 100_000
ROWS = 60


@pytest.fixture
def target(postgres_url: str) -> Iterator[Engine]:
    engine = make_engine(postgres_url)
    yield engine
    engine.dispose()


def doubled(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    """Two rows of each; refuses some, and leaves others out."""
    job.reject_rows(frame["stock"].astype("int64") % 9 == 4, "stock", "is not wanted")
    other = frame.assign(code=frame["code"] + "-b")
    return pd.concat([frame, other])[lambda both: both["stock"].astype("int64") % 7 != 0]


def test_what_transform_makes_is_the_same_in_partitions(
    importing_by: Callable[..., Importing], run_sql: Callable[[str], list[tuple[Any, ...]]]
):
    importing = importing_by(doubled)
    content = "code,stock,note\n" + "".join(f"c{row},{row},{NOTE}\n" for row in range(ROWS)) + "c1,1,again\n"
    found = []
    for how in (None, InAnyOrder(at_once=3)):
        run_sql("DROP TABLE IF EXISTS goods")
        job = importing.preview(content)
        hooks.process(importing.strategy, job, how)
        hooks.post_process(importing.strategy, job)
        counts = (job.result.created, job.result.rejected, job.result.advancement_count)
        rows = run_sql("SELECT code, stock, md5(note) FROM goods ORDER BY code")
        found.append((rows, counts, importing.rejects(job.result)))
    assert found[0] == found[1]
    assert len(job.result.partitions) == 3


def test_what_a_strategy_fetches_is_not_cut(importing_by: Callable[..., Importing]):
    def frames(self: Any, job: JobRun, after: Any) -> Iterator[FrameChunk]:
        for row in range(after or 0, 4):
            yield FrameChunk(pd.DataFrame({"code": [str(row)]}), row + 1)

    importing = importing_by(lambda frame, job: frame, frames=frames)
    job = importing.job_of(importing.strategy.Context())
    hooks.pre_process(importing.strategy, job)
    hooks.process(importing.strategy, job, InAnyOrder())
    assert job.result.created == 4
    assert [line.message for line in job.result.stat_descriptors if line.key == "partitions"] == [
        "one: what a strategy fetches is read from its beginning"
    ]
