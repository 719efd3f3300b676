"""A run's process is forked from one that has everything imported, and nobody notices but by the clock."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from batch_jobs.flows.jobs.transitions import Status
from support.serving import Served, write_strategy

pytestmark = pytest.mark.slow

GREETING = '''"""Greets."""

from batch_jobs.strategies.sdk.base import BatchJobStrategy


class Greeting(BatchJobStrategy):
    """Say a word."""

    identifier = "greeting-strategy"
    batch_type = "greeting"

    def process(self, job):
        job.describe("word", "Word", "{word}")

    def build_template(self):
        return ""
'''


@pytest.fixture(scope="module")
def greeting(
    tmp_path_factory: pytest.TempPathFactory, prefect_of_module: dict[str, str], postgres_of_module: str
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("greeting")
    _write(folder, "hello")
    served = Served(folder, postgres_of_module, postgres_of_module, prefect_of_module, strategies=folder / "strategies")
    served.start()
    yield served
    served.close()


@pytest.mark.long
def test_the_next_job_runs_a_strategy_as_it_was_edited_last(greeting: Served):
    assert _word(greeting) == "hello"
    _write(greeting.folder, "goodbye")
    assert _word(greeting) == "goodbye"


@pytest.mark.long
def test_jobs_run_when_the_process_that_theirs_are_forked_from_was_killed(greeting: Served):
    assert _word(greeting)
    _forked_from(greeting).kill()
    assert _word(greeting)


def _write(folder: Path, word: str) -> None:
    write_strategy(folder, GREETING.replace("{word}", word))


def _word(served: Served) -> str:
    done = served.until_status(served.create("greeting"), Status.COMPLETED, Status.FAILED)
    return done.result.stat_descriptors[-1].message


def _forked_from(served: Served) -> psutil.Process:
    (found,) = (
        child
        for process in served.processes
        for child in psutil.Process(process.pid).children()
        if "multiprocessing.forkserver" in " ".join(child.cmdline())
    )
    return found
