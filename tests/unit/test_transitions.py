"""The life of a job, as data."""

from batch_jobs.flows.errors import ActionIllegal
from batch_jobs.flows.jobs.transitions import ENDED, TRANSITIONS, Action, Status, allowed_from


def test_every_status_has_its_row():
    assert set(TRANSITIONS) == set(Status)


def test_every_status_can_be_reached_from_created():
    reached, edge = {Status.CREATED}, [Status.CREATED]
    while edge:
        for status in TRANSITIONS[edge.pop()].values():
            if status not in reached:
                reached.add(status)
                edge.append(status)
    assert reached == set(Status)


def test_nothing_moves_a_completed_job():
    assert not TRANSITIONS[Status.COMPLETED]


def test_canceling_twice_is_the_only_thing_possible_with_a_canceled_job_and_changes_nothing():
    assert TRANSITIONS[Status.CANCELED] == {Action.CANCEL: Status.CANCELED}


def test_a_failed_job_goes_back_only_by_retry():
    assert TRANSITIONS[Status.FAILED] == {Action.RETRY: Status.CREATED}


def test_every_job_that_has_not_ended_can_be_canceled_and_can_fail():
    for status in set(Status) - ENDED:
        assert TRANSITIONS[status][Action.CANCEL] is Status.CANCELED
        assert TRANSITIONS[status][Action.FAIL] is Status.FAILED


def test_every_action_is_possible_somewhere():
    assert all(allowed_from(action) for action in Action)


def test_the_error_of_an_illegal_action_names_the_status_and_what_is_allowed():
    error = ActionIllegal("batch_1", Status.COMPLETED, Action.CANCEL)
    assert str(error) == (
        "batch_1 is completed; cancel is possible from created, pre_processed, confirmed, processing or paused."
        " Nothing was changed."
    )
