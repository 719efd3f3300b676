"""Jobs for tests, put straight into the table in any status."""

from collections.abc import Sequence
from typing import Any

from ulid import ULID

from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.store import JobStore, NewJob
from batch_jobs.flows.jobs.transitions import TRANSITIONS, Action, Status
from batch_jobs.strategies.sdk.result import PartitionEntry


def new_job(**changes: Any) -> NewJob:
    values: dict[str, Any] = {
        "id": f"batch_{ULID()}",
        "type": "count",
        "strategy": "count-strategy",
        "context": {"upto": 3},
        "dry_run": False,
        "trigger": Trigger.PYTHON,
    }
    return NewJob(**{**values, **changes})


def way_to(wanted: Status) -> list[Action]:
    """The shortest list of actions from created to a status."""
    ways: dict[Status, list[Action]] = {Status.CREATED: []}
    edge = [Status.CREATED]
    while wanted not in ways:
        status = edge.pop(0)
        for action, reached in TRANSITIONS[status].items():
            if reached not in ways:
                ways[reached] = [*ways[status], action]
                edge.append(reached)
    return ways[wanted]


def job_in(store: JobStore, status: Status) -> Job:
    job = store.insert(new_job(), who="test")
    assert job is not None
    for action in way_to(status):
        job = store.move(job, action, who="test")
    return job


def with_partitions(store: JobStore, job: Job, partitions: Sequence[PartitionEntry], **counts: Any) -> Job:
    """A job whose run, which is this process, reports its partitions."""
    claimed = job if job.worker else store.claim(job, ProcessIdentity.current(), None)
    result = claimed.result.model_copy(update={"partitions": list(partitions), **counts})
    assert store.save_result(job.id, claimed.claim or 0, result, {})
    return store.get(job.id)


def partition(number: int, status: str = "waiting", **facts: Any) -> PartitionEntry:
    return PartitionEntry(name=f"part {number}", status=status, **facts)
