"""What Prometheus may ask for: requests as they were answered, jobs as they are."""

from collections.abc import Callable, Collection, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

from batch_jobs.flows.jobs.transitions import Status

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)
#: How many jobs there are of each type in each status.
Counts = Callable[[], Mapping[tuple[str, Status], int]]


class Metrics:
    """The counts of one API."""

    def __init__(self, jobs: Counts) -> None:
        self._jobs = jobs
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "batch_jobs_http_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "batch_jobs_http_request_seconds",
            "How long answers took.",
            ("method", "route"),
            buckets=BUCKETS,
            registry=self._registry,
        )

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; ``route`` is its pattern, so that there are as many counts as routes."""
        known = method if method in METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def text(self, types: Collection[str] | None = None) -> bytes:
        """All of it in Prometheus' text form; of jobs those of some types only, where these are given."""
        jobs = CollectorRegistry()
        jobs.register(_Jobs(self._jobs, types))
        return generate_latest(self._registry) + generate_latest(jobs)


METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})


class _Jobs:
    """Counts the jobs at the moment they are asked for."""

    def __init__(self, jobs: Counts, types: Collection[str] | None) -> None:
        self._jobs = jobs
        self._types = types

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily("batch_jobs_jobs", "Jobs there are.", labels=("type", "status"))
        for (batch_type, status), count in sorted(self._jobs().items()):
            if self._types is None or batch_type in self._types:
                family.add_metric([batch_type, status], count)
        yield family

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing to ask the database for while registering."""
        return []
