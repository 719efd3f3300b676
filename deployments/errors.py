"""Errors of reaching jobs, each one line that says what to do."""

from pathlib import Path

from batch_jobs.strategies.sdk.errors import BatchJobError


class UsageRefused(BatchJobError):
    """What was typed cannot be meant."""


class PrefectUnreachable(BatchJobError):
    """The Prefect that was named does not answer."""

    def __init__(self, address: str, origin: str, reason: str) -> None:
        super().__init__(f"Prefect at {address} (from {origin}) does not answer: {reason}")


class PrefectRefuses(PrefectUnreachable):
    """The Prefect that was named asks for an auth string that was not given."""

    def __init__(self, address: str, origin: str) -> None:
        refusal = f"Prefect at {address} (from {origin}) refuses this process"
        BatchJobError.__init__(self, f"{refusal}; set PREFECT_API_AUTH_STRING to what it asks for")


class NoPrefectNamed(BatchJobError):
    """A worker needs a Prefect server to get its work from."""

    def __init__(self) -> None:
        super().__init__(
            "no Prefect server is named: set PREFECT_API_URL, or run `batch-jobs serve`, which has its own"
        )


class PrefectDidNotStart(BatchJobError):
    """A Prefect server of our own ended or stayed silent."""

    def __init__(self, log: Path, reason: str | None = None) -> None:
        super().__init__(
            f"the Prefect server did not start; {log} says why"
            if reason is None
            else f"Prefect does not start: {reason}"
        )


class RunBroke(BatchJobError):
    """The Prefect run ended before it got to the job."""

    def __init__(self, job_id: str, reason: str) -> None:
        super().__init__(f"{job_id} could not be run: {reason}; try again with: batch-jobs retry {job_id} --here")


class AlreadyServing(BatchJobError):
    """A second ``serve`` in one home would run every job twice as eagerly, on one database."""

    def __init__(self, home: Path, pid: str) -> None:
        super().__init__(f"batch-jobs serve runs already in {home}{f' (process {pid})' if pid else ''}; stop it first")


class OpenToAll(BatchJobError):
    """The API was to listen beyond this machine, and there is no key to keep anybody out."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"the API does not listen on {host} without a key; make one with `batch-jobs keys create --name NAME --role"
            " ROLE`, or leave BATCH_JOBS_API_HOST at 127.0.0.1"
        )


class AddressTaken(BatchJobError):
    """The API cannot listen at the address of its settings."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"the API cannot listen on {host}:{port}: {reason}; BATCH_JOBS_API_PORT sets another port")
