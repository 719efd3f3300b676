"""``api``: the HTTP API by itself."""

from deployments.cli import output
from flows.workspace import current_workspace


def api() -> None:
    """Serve the HTTP API; `batch-jobs serve` does too. Ctrl-C stops it."""
    from deployments.api.server import run_api

    run_api(current_workspace(), say=output.out.print)
