"""Batch jobs on Prefect: ``batch_jobs.strategies``, ``batch_jobs.flows`` and ``batch_jobs.deployments``.

The three folders lie at the top of the repository; installed, they are parts of this package.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name):
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version  # takes longer to import than all else here

        try:
            return version("prefect-batch-jobs")
        except PackageNotFoundError:  # a source tree that is not installed
            return "0"


__all__ = ["__version__"]
