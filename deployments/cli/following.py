"""Looking at a job again and again until there is nothing more to see."""

import threading
from collections.abc import Callable

from deployments.cli.live import View
from deployments.cli.reports import awaits_confirmation
from flows.job import Job
from flows.transitions import ENDED, Status

LOOK_INTERVAL = 0.25  # seconds


def follow(look: Callable[[], Job], view: View, stopped: threading.Event) -> Job:
    """Show a job until it rests or ``stopped`` is set; return it as it was last seen."""
    while True:
        job = look()
        view.show(job)
        if rests(job) or stopped.wait(LOOK_INTERVAL):
            return job


def rests(job: Job) -> bool:
    """Whether nothing happens to the job until somebody does something."""
    return job.status in ENDED or job.status is Status.PAUSED or awaits_confirmation(job)
