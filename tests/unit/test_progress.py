"""Counting rows, and saving the count now and then."""

from batch_jobs.strategies.sdk.result import Counters, JobResult, Progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def saved_progress(clock: Clock) -> tuple[Progress, JobResult, list[int]]:
    result, saved = JobResult(), []
    progress = Progress(result, lambda: saved.append(result.advancement_count), clock)
    progress.total = 100
    return progress, result, saved


def test_progress_is_saved_at_most_once_a_second():
    clock = Clock()
    progress, _, saved = saved_progress(clock)
    for _ in range(40):
        progress.advance()
        clock.now += 0.25
    assert saved == [1, 5, 9, 13, 17, 21, 25, 29, 33, 37]


def test_progress_is_the_share_of_the_total_and_never_more_than_one():
    progress, result, _ = saved_progress(Clock())
    progress.advance(25)
    assert result.progress == 0.25
    progress.advance(100)
    assert result.progress == 1.0


def test_rows_counted_in_a_chunk_do_not_show_before_it_is_committed():
    progress, result, saved = saved_progress(Clock())
    progress.begin_chunk()
    progress.advance(10)
    assert (result.advancement_count, saved) == (0, [])
    progress.end_chunk(Counters(advanced=10))
    assert (result.advancement_count, saved) == (10, [10])


def test_progress_never_goes_down():
    progress, result, _ = saved_progress(Clock())
    progress.advance(50)
    progress.end_chunk(Counters(advanced=10))
    assert (result.advancement_count, result.progress) == (50, 0.5)


def test_without_a_total_there_is_a_count_and_no_share():
    result = JobResult()
    Progress(result, lambda: None).advance(5)
    assert (result.count, result.advancement_count, result.progress) == (None, 5, 0.0)
