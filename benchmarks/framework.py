"""What a job costs beyond its work: a no-op job beside a plain Prefect flow with three no-op tasks."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.report import console

TRIES = 7
WANTED_SECONDS = 0.3


def measure(work: Path, goods: Path, rows: int) -> None:
    environment = {**os.environ, "BATCH_JOBS_HOME": str(work / "home"), "PREFECT_HOME": str(work / "prefect"),
                   "PREFECT_LOGGING_LEVEL": "ERROR", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.framework"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=Path.cwd()).stdout
    plain, job = (float(figure) for figure in output.split()[-2:])
    verdict = "ok" if job - plain <= WANTED_SECONDS else "MISSED"
    console.print(f"[bold]A no-op job called as a function[/] (wanted: at most {WANTED_SECONDS} s more than plain)")
    console.print(f"  plain flow, three tasks: {plain:.2f} s; no-op job: {job:.2f} s; {job - plain:+.2f} s {verdict}")
    console.print()


def _work() -> None:
    from prefect import flow, task

    from batch_jobs.flows.runs.flow import build_flow
    from batch_jobs.flows.workspace import current_workspace
    from batch_jobs.strategies.sdk.base import BatchJobStrategy
    from batch_jobs.strategies.sdk.job import JobRun
    from benchmarks.report import seconds

    class Noop(BatchJobStrategy):
        """Do nothing."""

        identifier = "noop-strategy"
        batch_type = "noop"

        def process(self, job: JobRun) -> None:
            """Do nothing."""

        def build_template(self) -> str:
            return ""

    current_workspace().strategies.by_type["noop"] = Noop
    nothing = task(name="nothing")(lambda: None)

    @flow
    def plain() -> None:
        for _ in range(3):
            nothing()

    job = build_flow(Noop)
    plain()
    job()
    pairs = [(seconds(plain), seconds(job)) for _ in range(TRIES)]
    print(*(statistics.median(times) for times in zip(*pairs, strict=True)))


if __name__ == "__main__":
    _work()
