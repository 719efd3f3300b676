"""``serve``: everything on this machine in one process."""

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.cli.options import Verbose
from batch_jobs.deployments.log import speaker
from batch_jobs.flows.workspace import current_workspace


def serve(verbose: Verbose = False) -> None:
    """Run jobs in the background on this machine, with the Prefect UI; Ctrl-C stops it."""
    from batch_jobs.deployments.serve import serve_here

    workspace = current_workspace()
    serve_here(workspace, say=speaker(workspace.settings.log_format, output.out.print), verbose=verbose)
