"""What the command ``batch-jobs`` calls: Ctrl-C is one line also while everything is still being imported."""

import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        from batch_jobs.deployments.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit("error: interrupted")  # to stderr; the exit code is 1, as for Ctrl-C later on
