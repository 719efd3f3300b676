"""How quickly jobs go on: over the last seconds, by the counts that were seen of them."""

from collections import OrderedDict, deque
from threading import Lock

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status

WINDOW_SECONDS = 10.0
MOST_JOBS = 1_000

#: When a count was written, by the job's row, and the count.
Seen = tuple[float, int]


class Speeds:
    """What was seen of the jobs that somebody looks at, for as long as it says something of now."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, deque[Seen]] = OrderedDict()
        self._lock = Lock()

    def of(self, job: Job) -> float | None:
        """Note a job as it is, and return its rows a second; ``None`` where too little was seen of it."""
        with self._lock:
            if job.status is not Status.PROCESSING:
                self._seen.pop(job.id, None)
                return None
            seen = self._seen.setdefault(job.id, deque())
            self._seen.move_to_end(job.id)
            if len(self._seen) > MOST_JOBS:
                self._seen.popitem(last=False)
            return _speed(seen, (job.updated_at.timestamp(), job.result.advancement_count))


def _speed(seen: deque[Seen], now: Seen) -> float | None:
    if not seen or now > seen[-1]:
        seen.append(now)
    while seen[-1][0] - seen[0][0] > WINDOW_SECONDS and len(seen) > 2:
        seen.popleft()
    (begun, first), (ended, last) = seen[0], seen[-1]
    return (last - first) / (ended - begun) if ended > begun and last >= first else None
