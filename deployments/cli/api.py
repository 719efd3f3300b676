"""``api``: the HTTP API by itself."""

from batch_jobs.deployments.cli import output
from batch_jobs.flows.workspace import current_workspace


def api() -> None:
    """Serve the HTTP API; `batch-jobs serve` does too. Ctrl-C stops it."""
    from batch_jobs.deployments.api.server import run_api

    run_api(current_workspace(), say=output.out.print)
