"""The handle a hook receives, run without Prefect, on both databases."""

from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.errors import ContextRefused, RejectsMissing, StopRequested
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun, SilentReport
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.sdk.testing import run_strategy
from support.flaky_store import URL, failing


class Numbers(BatchJobStrategy):
    """Write the numbers up to a limit, three a chunk, refusing the sevens."""

    identifier = "numbers-strategy"
    batch_type = "numbers"

    class Context(BaseModel):
        limit: int = 10
        fail_after: int | None = None

    def prepare(self, context: Context) -> Context:
        if context.limit < 0:
            raise ContextRefused("limit is below 0")
        return context

    def pre_process(self, job: JobRun) -> None:
        job.progress.total = job.context.limit
        job.describe("numbers", "Numbers", f"{job.context.limit} numbers will be written")
        job.plan["limit"] = job.context.limit

    def process(self, job: JobRun) -> None:
        done = job.checkpoint or 0
        while done < job.context.limit:
            numbers = range(done + 1, min(done + 3, job.context.limit) + 1)
            with job.chunk(cursor=numbers[-1]) as connection:
                self._write(job, connection, numbers)
            done = numbers[-1]

    def _write(self, job: JobRun, connection: Any, numbers: range) -> None:
        for number in numbers:
            if number == job.context.fail_after:
                raise ValueError("as asked")
            job.progress.advance()
            if number % 10 == 7:
                job.reject(number, "i", "is a seven", {"i": str(number)})
            else:
                connection.execute(text("INSERT INTO numbers VALUES (:i)"), {"i": number})
                job.count(created=1)

    def build_template(self) -> str:
        return ""


@pytest.fixture
def numbers(target: Engine) -> Engine:
    with target.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (i INTEGER PRIMARY KEY)"))
    return target


def in_table(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT i FROM numbers ORDER BY i")))


def open_run(target: Engine, files: FileStore, token: int = 1, report: Any = None, **context: Any) -> JobRun:
    parts = JobParts(target, files, CheckpointStore(target, "batch_1", token), report or SilentReport())
    return JobRun(JobIdentity("batch_1", "numbers", Numbers.Context(**context)), parts)


@pytest.fixture
def files(tmp_path: Any) -> FileStore:
    return FileStore(str(tmp_path / "files"))


def test_a_strategy_runs_by_itself_and_counts_by_outcome(numbers: Engine):
    result = run_strategy(Numbers(), {"limit": 10}, target=numbers)
    assert in_table(numbers) == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert (result.count, result.advancement_count, result.progress) == (10, 10, 1.0)
    assert (result.created, result.rejected) == (9, 1)
    assert [entry.message for entry in result.stat_descriptors] == ["10 numbers will be written"]


def test_a_dry_run_writes_nothing(numbers: Engine):
    result = run_strategy(Numbers(), {"limit": 10}, target=numbers, dry_run=True)
    assert in_table(numbers) == []
    assert result.count == 10
    with numbers.connect() as connection:
        assert not numbers.dialect.has_table(connection, "batch_job_checkpoint")


def test_prepare_may_refuse_a_context(numbers: Engine):
    with pytest.raises(ContextRefused, match="limit is below 0"):
        run_strategy(Numbers(), {"limit": -1}, target=numbers)


def test_rows_counts_and_rejects_of_a_failed_chunk_are_gone_and_a_second_attempt_ends_as_a_clean_run(
    numbers: Engine, files: FileStore
):
    strategy, first = Numbers(), open_run(numbers, files, limit=20, fail_after=9)
    with pytest.raises(ValueError, match="as asked"):
        hooks.process(strategy, first)
    assert in_table(numbers) == [1, 2, 3, 4, 5, 6]
    assert (first.result.advancement_count, first.result.created, first.result.rejected) == (6, 6, 0)

    second = open_run(numbers, files, token=2, limit=20)
    hooks.process(strategy, second)
    assert in_table(numbers) == [i for i in range(1, 21) if i % 10 != 7]
    assert (second.result.advancement_count, second.result.created, second.result.rejected) == (20, 18, 2)
    with files.open(second.result.rejects_file_key or "") as stream:
        assert stream.read() == b"i,reject_line,reject_reason\n7,7,i: is a seven\n17,17,i: is a seven\n"


def test_a_chunk_before_processing_is_refused(numbers: Engine, files: FileStore):
    with pytest.raises(RuntimeError, match=r"belongs in process\(\)"), open_run(numbers, files).chunk(cursor=1):
        pass


def test_a_stop_takes_effect_after_the_chunk_that_is_being_written(numbers: Engine, files: FileStore):
    class Canceled(SilentReport):
        def stop_reason(self) -> str | None:
            return "canceled"

    job = open_run(numbers, files, report=Canceled(), limit=20)
    with pytest.raises(StopRequested, match="canceled"):
        hooks.process(Numbers(), job)
    assert in_table(numbers) == [1, 2, 3]
    assert job.result.advancement_count == 3


def test_rows_that_statements_wrote_count_where_the_strategy_does_not_count(numbers: Engine, files: FileStore):
    class Silent(Numbers):
        identifier = "silent-strategy"
        batch_type = "silent"

        def process(self, job: JobRun) -> None:
            with job.chunk(cursor=1) as connection:
                connection.execute(text("INSERT INTO numbers VALUES (:i)"), [{"i": i} for i in range(4)])
                connection.execute(text("UPDATE numbers SET i = i + 100 WHERE i > 1"))
                connection.execute(text("SELECT * FROM numbers")).all()

    job = open_run(numbers, files)
    hooks.process(Silent(), job)
    assert job.result.advancement_count == 6


def test_an_output_is_offered_only_when_it_is_whole(numbers: Engine, files: FileStore):
    job = open_run(numbers, files)
    with pytest.raises(RuntimeError), job.write_output("export.csv") as stream:
        stream.write(b"half")
        raise RuntimeError
    assert job.result.file_key is None
    with job.write_output("export.csv") as stream:
        stream.write(b"whole")
    assert (job.result.file_key, job.result.file_size) == ("jobs/batch_1/export.csv", 5)


def test_a_row_found_bad_before_and_while_processing_is_rejected_once_with_all_its_reasons(
    numbers: Engine, files: FileStore
):
    job = open_run(numbers, files)
    job.rejects.restart()
    row = {"a": "=1+1", "b": ""}
    job.reject(3, "a", "is a formula", row)
    job.reject(3, "b", "is empty", row)
    job.reject(2, None, "has one cell", {"a": "x", "b": None})
    job.keep_rejects()
    assert job.result.rejected == 2
    with job.open_input(job.result.rejects_file_key or "") as stream:
        assert stream.read().decode() == (
            'a,b,reject_line,reject_reason\nx,,2,has one cell\n\'=1+1,"",3,a: is a formula; b: is empty\n'
        )
    job.begin_processing()
    with job.chunk(cursor=1):
        job.reject(3, "a", "is a formula still", row)
    job.keep_rejects()
    assert job.result.rejected == 2


def test_describing_a_key_again_replaces_its_line():
    result = JobResult()
    result.describe("a", "A", "one")
    result.describe("b", "B", "two")
    result.describe("a", "A", "three")
    assert [(entry.key, entry.message) for entry in result.stat_descriptors] == [("a", "three"), ("b", "two")]


def test_a_job_that_ended_well_is_whole_also_when_nobody_knew_its_total(numbers: Engine):
    class Uncounted(Numbers):
        identifier = "uncounted-strategy"
        batch_type = "uncounted"

        def pre_process(self, job: JobRun) -> None:
            job.plan["limit"] = job.context.limit

    result = run_strategy(Uncounted(), target=numbers)

    assert (result.count, result.progress) == (None, 1.0)


def test_rejects_that_a_listing_leaves_out_fail_the_job_which_can_be_retried(numbers: Engine):
    files, result = FileStore(URL), JobResult()

    def attempt(number: int) -> None:
        parts = JobParts(numbers, files, CheckpointStore(numbers, "batch_1", number))
        job = JobRun(JobIdentity("batch_1", "numbers", Numbers.Context(limit=20), attempt=number), parts, result)
        hooks.process(Numbers(), job)

    with failing("rejects/chunk listed"), pytest.raises(RejectsMissing, match=r"0 of 2 rows that batch_1 has rejected"):
        attempt(1)
    attempt(2)
    assert (result.rejected, result.created) == (2, 18)
    assert files.open(result.rejects_file_key or "").read().splitlines()[1:] == [
        b"7,7,i: is a seven",
        b"17,17,i: is a seven",
    ]


def test_an_error_is_not_hidden_by_rejects_that_cannot_be_kept(numbers: Engine):
    parts = JobParts(numbers, FileStore(URL), CheckpointStore(numbers, "batch_2", 1))
    job = JobRun(JobIdentity("batch_2", "numbers", Numbers.Context(limit=20, fail_after=9)), parts)
    with failing("rejects listed"), pytest.raises(ValueError, match="as asked"):
        hooks.process(Numbers(), job)
