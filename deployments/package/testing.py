"""For tests of strategies: ``pytest_plugins = ["batch_jobs.testing"]`` in a test's file gives it the fixtures.

``target`` is a fresh database, ``files`` a file store (``Files``), and ``run`` runs a strategy on both (``Runner``).
``killed_and_retried`` and ``check_transform`` hold what authors promise against what jobs do.

PYTEST_DONT_REWRITE: there is no assertion here, and a test imports this before pytest does.
"""

from batch_jobs.strategies.testing.files import Files
from batch_jobs.strategies.testing.fixtures import files, run, target
from batch_jobs.strategies.testing.kills import AttemptFailed, Kill, killed_and_retried
from batch_jobs.strategies.testing.runs import Rejected, Run, Runner
from batch_jobs.strategies.testing.targets import rows_in
from batch_jobs.strategies.testing.transforms import check_transform

__all__ = [
    "AttemptFailed",
    "Files",
    "Kill",
    "Rejected",
    "Run",
    "Runner",
    "check_transform",
    "files",
    "killed_and_retried",
    "rows_in",
    "run",
    "target",
]
