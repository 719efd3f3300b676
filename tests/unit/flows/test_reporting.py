"""Signs of life of a run's process."""

import logging
from threading import Event

from batch_jobs.flows.runs.reporting import Heartbeat


def test_signs_of_life_go_on_after_an_error_and_end_when_the_job_is_not_ours_any_more():
    answers, over = iter([OSError("away"), True, False]), Event()

    def beat() -> bool:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        if not answer:
            over.set()
        return answer

    with Heartbeat(0.04, beat, logging.getLogger("test")):
        assert over.wait(30)
    assert list(answers) == []
