"""Following a job that another process runs."""

import threading

from deployments.cli.following import follow
from deployments.cli.live import view_for_stderr
from flows.job import Job
from flows.service import BatchJobService


def watch_to_rest(service: BatchJobService, job_id: str) -> Job:
    """Show a job until it rests; one whose process is dead is found out and counts as failed."""
    service.get(job_id)
    with view_for_stderr() as view:
        return follow(lambda: service.bury(job_id), view, threading.Event())
