"""What commands that only look do not import, so that they answer at once."""

import subprocess
import sys
from pathlib import Path

HEAVY = ("prefect", "pandas", "pyarrow", "alembic", "fastapi", "psutil", "tomllib", "cryptography")
LOOK = f"""
import sys
from batch_jobs.deployments.cli import commands, jobs, reports
from batch_jobs.flows.workspace import current_workspace
current_workspace().service
print(sorted(set({HEAVY}) & set(sys.modules)))
"""


def test_listing_jobs_imports_nothing_that_it_does_not_need(tmp_path: Path):
    def imported() -> str:
        return subprocess.run(
            [sys.executable, "-c", LOOK], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    imported()  # there is a database from now on
    assert imported() == "[]\n"
