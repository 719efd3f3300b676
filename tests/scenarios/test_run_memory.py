"""A run that asks for more memory than it may have: its job fails and says so, and all others go on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_jobs.flows.jobs.transitions import Status
from support.command_line import COMMAND
from support.serving import Served, write_strategy

pytestmark = pytest.mark.long

HUNGRY = '''"""Takes memory."""

import ctypes

import numpy
import pyarrow
from pydantic import BaseModel

from batch_jobs.strategies import BatchJobStrategy


def take(way):
    if way == "python":
        return [str(number) for number in range(10**9)]
    if way == "arrow":
        return pyarrow.array(["x" * 1000]).take(pyarrow.array(numpy.zeros(1_000_000, numpy.int32)))
    if way == "numpy":
        return numpy.ones(1 << 28)
    if way == "library":  # what C++ does with an error for lack of memory that nobody catches
        ctypes.CDLL(None).abort()


class Hungry(BatchJobStrategy):
    """Take memory in some way."""

    identifier = "hungry-strategy"
    batch_type = "hungry"

    class Context(BaseModel):
        way: str = ""

    def process(self, job):
        take(job.context.way)

    def build_template(self):
        return ""
'''
SAID = "it needed more memory than the 700.0MB that a run may have; BATCH_JOBS_RUN_MEMORY sets another limit"


@pytest.fixture
def served(tmp_path: Path, prefect_of_module: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    write_strategy(tmp_path, HUNGRY)
    monkeypatch.setenv("BATCH_JOBS_RUN_MEMORY", "700MB")
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("jobs", "target")]
    served = Served(tmp_path, *urls, prefect_of_module, strategies=tmp_path / "strategies")
    yield served
    served.close()


def test_a_job_that_needs_too_much_memory_fails_and_says_so_and_the_worker_goes_on(served: Served):
    worker = served.start("worker")

    for way in ("python", "arrow", "numpy"):
        job = served.until_status(served.create("hungry", way=way), Status.FAILED)
        assert job.result.errors[-1].message.startswith(SAID)
    killed = served.until_status(served.create("hungry", way="library"), Status.FAILED)

    why = served.workspace.service.events(killed.id)[-1].why
    assert why is not None
    assert "its process was ended by SIGABRT; it may have had no memory left" in why
    served.until_status(served.create("hungry"), Status.COMPLETED)
    assert worker.poll() is None
    limits = Path(f"/proc/{worker.pid}/limits").read_text()
    assert "unlimited" in next(line for line in limits.splitlines() if line.startswith("Max data size"))


def test_a_job_that_runs_here_has_the_same_limit(served: Served):
    command = [*COMMAND, "run", "hungry", "-c", "way=python"]
    environment = served.environment

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    assert done.returncode == 1
    assert SAID in done.stderr
    assert "Traceback" not in done.stderr
