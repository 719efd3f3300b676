"""What a short command costs: CPU seconds from its start to its end, imports included."""

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.report import console

COMMAND = [sys.executable, "-c", "from batch_jobs.deployments.cli.main import main; main()"]
TIMES = 7
WANTED_SECONDS = 0.4


def measure(work: Path, goods: Path, rows: int) -> None:
    environment = {**os.environ, "BATCH_JOBS_HOME": str(work / "command-line")}
    console.print(f"[bold]CPU seconds of a command[/] (median of {TIMES}; wanted: under {WANTED_SECONDS})")
    for arguments in (["list"], ["--help"]):
        _cpu_seconds(arguments, environment)  # the first one makes the database
        spent = statistics.median(_cpu_seconds(arguments, environment) for _ in range(TIMES))
        verdict = "ok" if spent < WANTED_SECONDS else "MISSED"
        console.print(f"  batch-jobs {' '.join(arguments)}: {spent:.2f} s {verdict}")
    console.print()


def _cpu_seconds(arguments: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*COMMAND, *arguments], env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
