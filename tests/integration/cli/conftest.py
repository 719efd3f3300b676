"""The real command, with a home of its own and a strategy made for these tests."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command_line import CommandLine
from support.servers import wait_until

STEPS = '''
"""Goes through steps; each says in a file that it was taken."""

import time
from pathlib import Path

from pydantic import BaseModel

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import ContextRefused


class Steps(BatchJobStrategy):
    """Take some steps."""

    identifier = "steps-strategy"
    batch_type = "steps"

    class Context(BaseModel):
        steps: int = 3
        names: list[str] = []
        renamed: dict[str, str | None] = {}
        file_key: str | None = None
        fails_once_at: int | None = None
        waits_for: Path | None = None

    def prepare(self, context):
        if context.steps < 0:
            raise ContextRefused("steps must not be negative")
        return context

    def pre_process(self, job):
        job.progress.total = job.context.steps * 10
        job.describe("steps", "To take", f"{job.context.steps} steps")

    def process(self, job):
        for step in range((job.checkpoint or 0) + 1, job.context.steps + 1):
            if step == job.context.fails_once_at and job.attempt == 1:
                raise ValueError(f"step {step} is broken")
            with job.chunk(cursor=step):
                job.progress.advance(10)
                job.count(created=10)
            while step == 1 and job.context.waits_for and not job.context.waits_for.exists():
                job.save()
                job.stop_if_asked()
                time.sleep(0.02)

    def build_template(self):
        return "step\\n1\\n"
'''


@pytest.fixture
def strategies(tmp_path: Path) -> Path:
    folder = tmp_path / "my_strategies"
    folder.mkdir()
    (folder / "steps.py").write_text(STEPS)
    return folder


@pytest.fixture
def cli(home: Path, strategies: Path) -> Iterator[CommandLine]:
    """The command without any Prefect in reach."""
    away = {"PREFECT_PROFILES_PATH": str(home / "no-profiles.toml"), "PREFECT_API_URL": ""}
    command_line = CommandLine(BATCH_JOBS_HOME=str(home), BATCH_JOBS_STRATEGIES=str(strategies), **away)
    yield command_line
    for process in command_line.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def cli_with_prefect(cli: CommandLine, prefect_server: dict[str, str]) -> CommandLine:
    """The command with the tests' Prefect server."""
    cli.environment.update(prefect_server)
    return cli


@pytest.fixture
def until(cli: CommandLine) -> Callable[[Callable[[dict[str, Any]], bool]], dict[str, Any]]:
    """Waits until the newest job is as wished, and returns it."""

    def wait(wished: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = cli("list", "--limit", "1", "--json").json
            return bool(found) and wished(found[0])

        wait_until(is_there, what="the wished state of the newest job")
        return found[0]

    return wait
