"""``api``: the HTTP API by itself."""

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.log import speaker
from batch_jobs.flows.workspace import current_workspace


def api() -> None:
    """Serve the HTTP API; `batch-jobs serve` does too. Ctrl-C stops it."""
    from batch_jobs.deployments.api.server import run_api

    workspace = current_workspace()
    run_api(workspace, say=speaker(workspace.settings.log_format, output.out.print))
