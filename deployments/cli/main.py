"""What ``batch-jobs`` calls, and the one place where it ends: Ctrl-C is one line, also while modules are imported."""

import gc
import os
import sys

#: Typer's exit code for Ctrl-C.
INTERRUPTED = 130


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        sys.exit("error: interrupted")  # to stderr; the exit code is 1, as for Ctrl-C later on
    sys.exit(code)


def _run() -> int:
    gc.disable()  # collecting while modules are imported finds nothing, and is a sixth of the time that `list` takes
    from batch_jobs.deployments.cli.commands import app

    try:
        code = int(app(prog_name="batch-jobs", standalone_mode=False) or 0)
    except BrokenPipeError:
        raise
    except Exception as error:
        from batch_jobs.deployments.cli.errors import report

        return report(error)
    if code == INTERRUPTED:
        from batch_jobs.deployments.cli import errors, output

        output.error("interrupted; `batch-jobs list` shows how the jobs are")
        return errors.FAILED
    return code
