"""Runs a command (``python -m batch_jobs.deployments.prefect.die_with_parent COMMAND...``) that ends with its parent.

A server that outlives the command which started it would keep its port for good. On Linux the kernel ends it with its
parent; elsewhere only an orderly end of the parent does.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Bind this process to its parent's life, then become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
