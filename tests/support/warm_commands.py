"""Runs ``batch-jobs`` in forks of one process that has imported what commands import, so that they start at once.

Prefect is not imported in advance: a command has a say in how Prefect begins.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

SECONDS = 120
WARM = [
    "alembic.command",
    "fsspec",
    "limits",
    "batch_jobs.deployments.cli.errors",
    *(
        f"batch_jobs.deployments.cli.{name}"
        for name in ("actions", "db", "files", "jobs", "keys", "new", "run", "strategies")
    ),
    "batch_jobs.flows.access.keys",
    "batch_jobs.flows.jobs.indexes",
    "batch_jobs.strategies.product_import",
    "batch_jobs.strategies.table_export",
    "batch_jobs.strategies.table_import",
]


class WarmCommands:
    """The process that commands are forked from, one after the other."""

    def __init__(self, root: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "tests")))}
        command = [sys.executable, "-m", __name__]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, env=environment, cwd=root, **pipes)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], files: Sequence[Path]) -> int:
        """Run a command to its end with these files as stdin, stdout and stderr, and return its exit code."""
        asked = {"arguments": arguments, "environment": dict(environment), "folder": os.getcwd()}
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps({**asked, "files": [str(file) for file in files]}), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, f"the process that commands are forked from has ended with {self._process.wait()}"
        return int(answer)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=30)


def serve() -> None:
    """Fork a command for each line of stdin and answer with its exit code; a fork returns from here, to be one."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            return become(**json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def become(arguments: list[str], environment: dict[str, str], folder: str, files: list[str]) -> None:
    """Be the process of a command."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, file in enumerate(files):
        os.dup2(os.open(file, os.O_RDWR), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the other one has read ahead
    sys.argv = ["batch-jobs", *arguments]
    signal.alarm(SECONDS)
    import_module("batch_jobs.deployments.cli.main").main()


if __name__ == "__main__":
    for name in WARM:
        import_module(name)
    serve()
