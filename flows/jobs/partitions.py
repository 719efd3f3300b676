"""The partitions of a job as people are shown them, in a few lines however many there are."""

from collections import Counter
from collections.abc import Sequence

from batch_jobs.strategies.sdk.partition import PartitionStatus
from batch_jobs.strategies.sdk.result import PartitionEntry

HEAD = ("Name", "Status", "Rows", "Rows/s", "Attempt", "Where")
#: Of more, those are shown that somebody has to look at, and the others are counted.
MOST_SHOWN = 20


def to_show(partitions: Sequence[PartitionEntry]) -> list[PartitionEntry]:
    """All of a few; of many those that failed or run, failed ones first where there is no room for both."""
    if len(partitions) <= MOST_SHOWN:
        return list(partitions)
    failed, running = (_in(partitions, status) for status in (PartitionStatus.FAILED, PartitionStatus.RUNNING))
    names = {entry.name for entry in [*failed, *running][:MOST_SHOWN]}
    return [entry for entry in partitions if entry.name in names]


def rest_text(partitions: Sequence[PartitionEntry], shown: Sequence[PartitionEntry]) -> str:
    """How many are not shown, by status; empty where all are."""
    statuses = Counter(entry.status for entry in partitions)
    statuses.subtract(entry.status for entry in shown)
    counted = [f"{count:,} {status}" for status, count in statuses.items() if count]
    return f"and {statuses.total():,} more: {', '.join(counted)}" if counted else ""


def cells(entry: PartitionEntry) -> list[str]:
    """A partition's line, in the columns of ``HEAD``."""
    speed = "" if entry.rows_per_second is None else f"{entry.rows_per_second:,.0f}"
    attempt = str(entry.attempt) if entry.attempt else ""
    return [entry.name, entry.status, rows_text(entry), speed, attempt, entry.where or ""]


def rows_text(entry: PartitionEntry) -> str:
    """How many rows it has gone through, and of how many."""
    return f"{entry.advanced:,}" + (f" of {entry.rows:,}" if entry.rows is not None else "")


def running(partitions: Sequence[PartitionEntry]) -> list[PartitionEntry]:
    """Those that are being worked on."""
    return _in(partitions, PartitionStatus.RUNNING)


def _in(partitions: Sequence[PartitionEntry], status: PartitionStatus) -> list[PartitionEntry]:
    return [entry for entry in partitions if entry.status == status]
