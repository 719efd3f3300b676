"""Batch jobs on Prefect: ``batch_jobs.strategies``, ``batch_jobs.flows`` and ``batch_jobs.deployments``.

The three folders lie at the top of the repository; installed, they are parts of this package.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("prefect-batch-jobs")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0"

__all__ = ["__version__"]
