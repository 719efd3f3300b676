"""How long something was seen without a sign of life."""

from batch_jobs.flows.jobs.stillness import Stillness

TIMEOUT = 60.0


class Watch:
    """Looks at one mark, by a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.stillness = Stillness(lambda: self.now)

    def see(self, mark: int, after: float = 0.0) -> float:
        self.now += after
        return self.stillness.look({"job": mark}, TIMEOUT)["job"]


def test_what_is_seen_for_the_first_time_has_not_been_still():
    assert Watch().see(1) == 0


def test_it_is_still_from_when_its_last_sign_was_first_seen():
    watch = Watch()
    seen = [
        watch.see(1),
        watch.see(1, after=10),
        watch.see(2, after=10),
        watch.see(2, after=10),
        watch.see(2, after=20),
    ]
    assert seen == [0, 10, 0, 10, 30]


def test_after_a_gap_in_looking_all_begins_anew():
    watch = Watch()
    watch.see(1)
    assert watch.see(1, after=TIMEOUT / 2) == TIMEOUT / 2
    assert watch.see(1, after=TIMEOUT) == 0
    assert watch.see(1, after=10) == 10


def test_after_something_could_not_be_looked_at_all_begins_anew():
    watch = Watch()
    watch.see(1)
    watch.see(1, after=10)
    watch.stillness.forget()
    assert watch.see(1, after=10) == 0


def test_what_is_not_there_for_a_while_begins_anew():
    watch = Watch()
    watch.see(1)
    watch.stillness.look({}, TIMEOUT)
    assert watch.see(1, after=10) == 0
