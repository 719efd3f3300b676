"""Imports in real processes, killed for real."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from flows.job import Job
from flows.workspace import Workspace

RUNNER = Path(__file__).parent / "run_job.py"


@dataclass
class Runs:
    """Runs jobs of one workspace, each in a process of its own."""

    workspace: Workspace
    environment: dict[str, str]

    def start(self, job_id: str) -> subprocess.Popen[bytes]:
        """Go on with a job in a new process; for a job that is not new this is a retry."""
        command = [sys.executable, str(RUNNER), job_id]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def finish(self, job_id: str) -> Job:
        """Go on with a job until its process ends by itself."""
        process = self.start(job_id)
        _, errors = process.communicate(timeout=120)
        job = self.workspace.service.get(job_id)
        assert process.returncode == 0, errors.decode()[-3000:]
        return job

    def progress(self, job_id: str) -> int:
        """Rows of the job that are committed in the target."""
        with self.workspace.target.connect() as connection:
            if not self.workspace.target.dialect.has_table(connection, "batch_job_checkpoint"):
                return 0
            query = text("SELECT counters FROM batch_job_checkpoint WHERE job_id = :id")
            counters = connection.scalar(query, {"id": job_id})
        found: Any = json.loads(counters) if isinstance(counters, str) else counters
        return int(found["advanced"]) if found else 0


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL, and wait until the process is gone."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
