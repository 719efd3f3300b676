"""The promise where it is made: however often a partition is executed, its rows are in once, as its checkpoint says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from batch_jobs.strategies.sdk.errors import StopRequested, StrategyIncomplete, Superseded
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobParts, JobRun
from batch_jobs.strategies.sdk.json_values import NotJson
from batch_jobs.strategies.sdk.partition import Partition, PartitionStatus
from batch_jobs.strategies.sdk.partition_checkpoint import EXECUTIONS, PartitionAbandoned, PartitionCheckpoints
from batch_jobs.strategies.sdk.partition_run import run_partition
from batch_jobs.strategies.sdk.partitioning import PartitionsFailed
from batch_jobs.strategies.sdk.sessions import Session, make_attempt_engine
from batch_jobs.strategies.sdk.testing import run_strategy
from support.parted import numbers_of, outcome_of
from support.parted_executions import Attempt, Execution
from support.strategies.parted import Parted

MakeAttempt = Callable[..., Attempt]


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(str(tmp_path / "files"))


@pytest.fixture
def attempt(target: Engine, files: FileStore) -> MakeAttempt:
    """Makes the first attempt at a job of three partitions of 20 rows."""

    def make(strategy: type[Parted] = Parted, **context: Any) -> Attempt:
        return Attempt(strategy(), {"partitions": 3, "rows": 20, **context}, target, files)

    return make


def write_chunk(job: JobRun, numbers: range) -> None:
    """What ``process`` of the strategy does once."""
    with job.chunk(cursor=numbers[-1]) as connection:
        Parted()._write(job, connection, numbers)


def test_a_cut_job_ends_as_one_that_is_not_cut(target: Engine, files: FileStore):
    whole = Attempt(Parted(), {"partitions": 0, "rows": 60}, target, files)
    cut = Attempt(Parted(), {"partitions": 3, "rows": 20}, target, files)
    ends = []
    for one in (whole, cut):
        one.look()
        one.process()
        ends.append({**outcome_of(target, files, one.id, one.run.result), "output": None})
    assert ends[0] == ends[1]
    assert ends[0]["counts"][3:] == (52, 8)


def test_of_two_executions_of_a_partition_at_once_the_later_one_writes(attempt: MakeAttempt, target: Engine):
    cut = attempt().plan()
    earlier, later = cut.execution(1).handle(), cut.execution(1).handle()
    earlier.begin_processing()
    write_chunk(earlier, range(1, 11))
    later.begin_processing()
    with pytest.raises(Superseded):
        write_chunk(earlier, range(11, 21))
    write_chunk(later, range(11, 21))
    state = cut.state(1)
    assert numbers_of(target, cut.id) == [n for n in range(1, 21) if n % 7]
    assert (state.chunk_number, state.execution, state.counters.advanced, state.counters.created) == (2, 2, 20, 18)


def test_two_executions_that_race_write_each_row_once(attempt: MakeAttempt, target: Engine):
    cut = attempt(per_chunk=2).plan()
    both = threading.Barrier(2)
    became = []

    def run(execution: Execution) -> None:
        parts = execution.parts()
        both.wait()
        became.append(_run(cut, execution, parts))

    racers = [threading.Thread(target=run, args=(cut.execution(1),)) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert "completed" in became
    assert numbers_of(target, cut.id) == [n for n in range(1, 21) if n % 7]
    assert (cut.state(1).chunk_number, cut.state(1).counters.advanced) == (10, 20)


def _run(cut: Attempt, execution: Execution, parts: JobParts) -> str:
    return run_partition(cut.strategy, cut.identity, cut.run.plan, parts, execution.checkpoints)


def test_a_finished_partition_is_left_at_the_price_of_one_select(attempt: MakeAttempt, target: Engine):
    cut = attempt().plan()
    assert cut.execution(1).go() == "completed"
    said: list[str] = []
    event.listen(target, "before_cursor_execute", lambda _c, _r, statement, *_: said.append(statement))
    assert cut.execution(1).go() == "completed"
    assert [statement.split()[0] for statement in said if statement != "BEGIN"] == ["SELECT"]
    assert cut.state(1).execution == 1


def test_an_execution_that_comes_when_another_is_done_writes_nothing(attempt: MakeAttempt, target: Engine):
    cut = attempt().plan()
    late = cut.execution(1)
    parts = late.parts()
    cut.execution(1).go()
    assert _run(cut, late, parts) == "superseded"
    assert numbers_of(target, cut.id) == [n for n in range(1, 21) if n % 7]


def test_a_partition_that_never_commits_is_given_up_and_says_so(attempt: MakeAttempt):
    cut = attempt()
    cut.look()

    def lose_one() -> None:
        for _ in range(EXECUTIONS):
            cut.execution(2).checkpoints.take()
        with pytest.raises(PartitionAbandoned, match=r"begun 3 times .* by host:4711; 0 rows of it are in"):
            cut.execution(2).checkpoints.take()
        assert (cut.state(2).status, cut.state(2).execution) == (PartitionStatus.FAILED, EXECUTIONS)
        cut.one_by_one()

    cut.run_partitions = lose_one
    with pytest.raises(PartitionsFailed, match=r"^1 of 3 partitions failed: part 2: it was begun 3 times"):
        cut.process()
    assert [one.status for one in cut.states()] == ["completed", "failed", "completed"]


def test_a_commit_in_between_lets_a_partition_be_begun_as_often_again(attempt: MakeAttempt):
    cut = attempt().plan()
    for _ in range(EXECUTIONS - 1):
        cut.execution(1).checkpoints.take()
    job = cut.execution(1).handle()
    job.begin_processing()
    write_chunk(job, range(1, 11))
    for _ in range(EXECUTIONS):
        cut.execution(1).checkpoints.take()
    assert cut.state(1).status is PartitionStatus.RUNNING


def test_a_later_attempt_refuses_the_chunks_and_the_end_of_an_earlier_one(attempt: MakeAttempt, target: Engine):
    cut = attempt().plan()
    execution = cut.execution(1)
    job = execution.handle()
    job.begin_processing()
    write_chunk(job, range(1, 11))
    later = cut.following()
    later.process()
    with pytest.raises(Superseded):
        write_chunk(job, range(11, 21))
    execution.checkpoints.end(PartitionStatus.FAILED, [])
    assert not execution.checkpoints.beat()
    assert execution.checkpoints.stop_reason() == "superseded"
    assert numbers_of(target, cut.id) == [n for n in range(1, 61) if n % 7]
    assert {state.status for state in later.states()} == {PartitionStatus.COMPLETED}


def test_an_attempt_that_has_lost_the_job_plans_nothing(attempt: MakeAttempt):
    cut = attempt(Recut)
    cut.look()
    later = cut.following()

    class LosesTheJob(Recut, abstract=True):
        def partition(self, job: JobRun, size: int) -> list[Partition]:
            later.process()
            return super().partition(job, size)

    cut.strategy = LosesTheJob()
    with pytest.raises(Superseded):
        cut.process()
    assert {state.claim for state in later.states()} == {2}
    assert {state.status for state in later.states()} == {PartitionStatus.COMPLETED}


def test_partitions_are_written_whole_or_not_at_all(attempt: MakeAttempt, target: Engine):
    cut = attempt().plan()  # which makes the table
    with target.begin() as connection:
        connection.execute(text("DELETE FROM batch_job_partition"))

    def fail_after_the_insert(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO batch_job_partition"):
            raise RuntimeError("the process is lost here")

    event.listen(target, "after_cursor_execute", fail_after_the_insert)
    with pytest.raises(RuntimeError):
        cut.process()
    event.remove(target, "after_cursor_execute", fail_after_the_insert)
    assert cut.states() == []
    cut.process()
    assert len(cut.states()) == 3


class Recut(Parted):
    """Begins all of them anew in each attempt."""

    identifier = "recut-strategy"
    batch_type = "recut"
    keeps_partitions = False


def test_another_attempt_keeps_the_partitions_unless_the_strategy_cuts_anew(attempt: MakeAttempt):
    for strategy, kept in ((Parted, True), (Recut, False)):
        cut = attempt(strategy).plan()
        cut.execution(1).go()
        later = cut.following()
        later.run_partitions = lambda: None
        later.process()
        assert (later.state(1).status is PartitionStatus.COMPLETED) == kept
        assert {state.claim for state in later.states()} == ({1, 2} if kept else {2})


def test_partitions_stop_at_their_chunk_edge_when_they_are_asked_to(attempt: MakeAttempt):
    cut = attempt().plan()
    cut.execution(3).go()
    job = cut.execution(1).handle()
    job.begin_processing()
    cut.table.ask_to_stop("paused")
    with pytest.raises(StopRequested) as stop:
        write_chunk(job, range(1, 11))
    assert stop.value.reason == "paused"
    assert cut.state(1).chunk_number == 1  # the chunk is in
    assert cut.execution(2).go() == "stopped"
    assert cut.following().process().result.created == 52  # what was asked of one attempt is not asked of the next


def test_asking_to_stop_does_not_wait_for_open_chunks(attempt: MakeAttempt, target: Engine):
    cut = attempt().plan()
    job = cut.execution(1).handle()
    job.begin_processing()
    asked = threading.Thread(target=cut.table.ask_to_stop, args=("interrupted",))
    with pytest.raises(StopRequested), job.chunk(cursor=10) as connection:
        connection.execute(text("INSERT INTO parted (n) VALUES (1)"))
        asked.start()
        if target.dialect.name == "postgresql":  # SQLite has one writer
            asked.join(20)
            assert not asked.is_alive()
            assert cut.execution(1).checkpoints.stop_reason() == "interrupted"
        else:
            connection.rollback()
            asked.join(20)
            raise StopRequested("interrupted")


def test_a_process_in_a_long_chunk_gives_signs_of_life(attempt: MakeAttempt, target: Engine):
    if target.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer: nobody else can write while a chunk is open")
    cut = attempt().plan()
    execution = cut.execution(1)
    job = execution.handle()
    job.begin_processing()
    with job.chunk(cursor=10):
        before = cut.state(1).heartbeat
        assert execution.checkpoints.beat()
        assert cut.state(1).heartbeat != before


NO_PARTITIONS: list[tuple[Any, str]] = [
    (None, "a partition.. that returns a list of Partition"),
    (["lines 1-10"], "a partition.. that returns a list of Partition"),
    ((Partition("a"),), "a partition.. that returns a list of Partition"),
    ([Partition("a"), Partition("a")], "names of its partitions that differ and are texts of 1 to 255 characters"),
    ([Partition("")], "names of its partitions that differ"),
    ([Partition("a" * 256)], "names of its partitions that differ"),
    ([Partition(7)], "names of its partitions that differ"),  # type: ignore[arg-type]
    ([Partition([])], "names of its partitions that differ"),  # type: ignore[arg-type]
    ([Partition("a\0b")], "names of its partitions that differ"),
    ([Partition("a\ud800")], "names of its partitions that differ"),
    ([Partition("a", {1, 2})], "the plan of the partition a"),
    ([Partition("a", float("nan"))], "the plan of the partition a"),
    ([Partition("a", rows="many")], "rows of its partitions that are whole numbers"),  # type: ignore[arg-type]
    ([Partition("a", rows=-1)], "rows of its partitions that are whole numbers"),
    ([Partition("a", rows=1 << 63)], "rows of its partitions that are whole numbers"),
]


def test_what_are_no_partitions_is_one_clear_error(attempt: MakeAttempt):
    for returned, said in NO_PARTITIONS:
        cut = attempt()
        cut.look()
        cut.strategy = returning(returned)
        with pytest.raises((StrategyIncomplete, NotJson), match=said) as raised:
            cut.process()
        assert "\n" not in str(raised.value)
        assert cut.states() == []


def returning(partitions: Any) -> Parted:
    class Returning(Parted, abstract=True):
        def partition(self, job: JobRun, size: int) -> list[Partition]:
            return partitions  # type: ignore[no-any-return]

    return Returning()


def test_a_plan_comes_back_as_it_was_even_with_what_databases_cannot_hold(attempt: MakeAttempt):
    plan = {"text": "a\0b \ud800 ü", "none": None, "big": 2**70, "list": [1, 2.5, "x"]}

    class Odd(Parted, abstract=True):
        def partition(self, job: JobRun, size: int) -> list[Partition]:
            return [Partition("ünicode \u2028 'quoted'", plan)]

        def process(self, job: JobRun) -> None:
            assert job.partition is not None
            seen.append(job.partition.plan)

    seen: list[Any] = []
    cut = attempt(Odd)
    cut.look()
    cut.process()
    assert seen in ([plan], [{**plan, "text": "a\ufffdb \ufffd ü"}])


def test_rejects_of_partitions_come_out_in_the_order_of_the_input(attempt: MakeAttempt, files: FileStore):
    cut = attempt()
    cut.look()

    def last_one_first() -> None:
        for number in (3, 1, 2):
            cut.execution(number).go()

    cut.run_partitions = last_one_first
    key = cut.process().result.rejects_file_key
    assert key is not None
    with files.open(key) as stream:
        lines = [int(line.split(b",")[0]) for line in stream.readlines()[1:]]
    assert lines == [7, 14, 21, 28, 35, 42, 49, 56]
    assert cut.run.result.rejected == 8


def test_rejects_of_a_chunk_that_is_lost_are_there_once(attempt: MakeAttempt, files: FileStore):
    cut = attempt().plan()
    job = cut.execution(1).handle()
    job.begin_processing()
    with pytest.raises(ZeroDivisionError), job.chunk(cursor=10) as connection:
        Parted()._write(job, connection, range(1, 11))
        job.rejects.flush_chunk(1)  # its part is written before its commit
        1 / 0  # noqa: B018
    cut.process()
    assert cut.run.result.rejected == 8


def test_each_partition_knows_how_many_rows_the_others_have_rejected(attempt: MakeAttempt):
    cut = attempt().plan()
    job = cut.execution(2).handle()
    job.begin_processing()
    assert job.rejected_elsewhere == 0
    cut.execution(1).go()
    write_chunk(job, range(21, 31))
    assert job.rejected_elsewhere == 2  # 7 and 14 of the first one, and none of its own
    cut.execution(3).go()
    assert job.rejected_elsewhere == 5


def test_progress_and_counts_are_sums_and_never_go_down(attempt: MakeAttempt):
    cut = attempt().plan()
    shown = []
    for number in (2, 3):
        cut.execution(number).go()
        cut.run.show_partitions(cut.states())
        shown.append((cut.run.result.progress, cut.run.result.advancement_count))
    later = cut.following()
    later.run_partitions = lambda: None
    later.process()
    shown.append((later.run.result.progress, later.run.result.advancement_count))
    later.run_partitions = later.one_by_one
    later.process()
    later.run.show_partitions(later.states())
    shown.append((later.run.result.progress, later.run.result.advancement_count))
    assert shown == sorted(shown)
    assert shown[-1] == (1.0, 60)
    assert later.run.result.created == 52


def test_a_summary_line_that_partitions_share_is_there_once(attempt: MakeAttempt):
    cut = attempt()
    cut.look()
    lines = {line.key: line.message for line in cut.process().result.stat_descriptors}
    assert lines["refused"] == "what 7 divides"
    assert lines["last"] == "part 1: 20; part 2: 40; part 3: 60"


def test_a_partition_that_failed_for_a_reason_that_passes_is_begun_again_by_the_same_run(attempt: MakeAttempt):
    cut = attempt(fails=2, may_pass=True)
    cut.look()
    with pytest.raises(PartitionsFailed, match="1 of 3 partitions failed: part 2: part 2 fails as asked") as failed:
        cut.process()
    assert failed.value.may_pass
    object.__setattr__(cut.identity, "attempt", 2)  # the run makes another attempt, with the claim it has
    cut.process()
    assert cut.run.result.created == 52
    assert [state.execution for state in cut.states()] == [1, 2, 1]


def test_a_failure_that_does_not_pass_is_said_with_its_partition(attempt: MakeAttempt):
    cut = attempt(fails=2)
    cut.look()
    with pytest.raises(PartitionsFailed) as failed:
        cut.process()
    assert not failed.value.may_pass
    assert [entry.message for entry in failed.value.entries] == ["part 2: part 2 fails as asked"]


def test_what_a_later_attempt_plans_anew_does_not_wait_for_a_lost_process(attempt: MakeAttempt, target: Engine):
    if target.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer")
    cut = attempt(Recut).plan()
    with _left_open(cut):
        later = cut.following()
        ended = threading.Thread(target=later.process)
        ended.start()
        ended.join(30)
        assert not ended.is_alive()
    assert {state.status for state in later.states()} == {PartitionStatus.COMPLETED}


def test_an_execution_of_partitions_that_were_planned_anew_since_writes_nothing(attempt: MakeAttempt, target: Engine):
    cut = attempt(Recut).plan()
    slept = cut.execution(1).handle()
    slept.begin_processing()
    cut.run_partitions = lambda: None
    cut.process()  # as the same attempt does where the target ended what it did
    cut.execution(1).handle().begin_processing()
    with pytest.raises(Superseded):
        write_chunk(slept, range(1, 11))
    assert numbers_of(target, cut.id) == []


@contextmanager
def _left_open(cut: Attempt) -> Iterator[None]:
    """The transaction of a process that is frozen in its chunk, in a session of its own name."""
    session = Session(cut.id, cut.claim, 1, "frozen")
    engine = make_attempt_engine(cut.target.url.render_as_string(hide_password=False), session)
    checkpoints = PartitionCheckpoints(engine, session, ("host", 1))
    checkpoints.take()
    block: AbstractContextManager[Any] = checkpoints.transaction()
    block.__enter__()
    try:
        yield
    finally:
        with pytest.raises(DBAPIError):  # its session was ended
            block.__exit__(None, None, None)
        engine.dispose()


def test_the_tests_of_strategies_run_partitions_too(target: Engine):
    result = run_strategy(Parted(), {"partitions": 3, "rows": 20}, target=target, partitions=2)
    assert (result.created, result.rejected, len(result.partitions)) == (52, 8, 3)
