"""The terminal is closed in which something runs: it ends as it does by SIGTERM."""

import fcntl
import os
import select
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from batch_jobs.flows.jobs.transitions import Status
from support.command_line import COMMAND
from support.servers import give_database, wait_until
from support.serving import STARTED, Served, write_strategy

pytestmark = pytest.mark.long

TALKING = '''"""Writes rows and says so."""

import time
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import text

from batch_jobs.strategies import BatchJobStrategy


class Talking(BatchJobStrategy):
    """Write 400 rows in as many chunks, and say so."""

    identifier = "talking-strategy"
    batch_type = "talking"

    class Context(BaseModel):
        gate: Path

    def process(self, job):
        for i in range((job.checkpoint or 0) + 1, 401):
            with job.chunk(cursor=i) as connection:
                connection.execute(text("INSERT INTO tally VALUES (:job, :i, 1)"), {"job": job.id, "i": i})
                job.context.gate.with_suffix(".reached").touch()
                while not job.context.gate.exists():
                    time.sleep(0.02)
                print("a row is written", flush=True)

    def build_template(self):
        return ""
'''


class Terminal:
    """A terminal that a command runs in, as the leader of its session."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self._ours, theirs = os.openpty()
        self.shown = b""
        self._is_open = True
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            env={**environment, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Hang up; a terminal that somebody still reads from would stay open."""
        self._is_open = False
        self._reader.join()
        os.close(self._ours)

    def _read(self) -> None:
        with suppress(OSError):
            while self._is_open:
                if select.select([self._ours], [], [], 0.1)[0]:
                    self.shown += os.read(self._ours, 65536)


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[Served]:
    """A workspace with a Prefect of its own, which nobody runs yet."""
    write_strategy(tmp_path, TALKING)
    url, prefect = f"sqlite:///{tmp_path}", tmp_path / "prefect"
    give_database(prefect)
    nothing_named = {"PREFECT_API_URL": "", "PREFECT_HOME": str(prefect), "BATCH_JOBS_API_PORT": "0"}
    served = Served(tmp_path, f"{url}/jobs.db", f"{url}/data.db", nothing_named, strategies=tmp_path / "strategies")
    yield served
    served.close()


def _hang_up(terminal: Terminal, gate: Path) -> None:
    """Close the terminal in the middle of a chunk, and wait until nothing is left of what ran in it."""
    wait_until(gate.with_suffix(".reached").exists, 120, f"the chunk: {terminal.shown.decode()}")
    everything = psutil.Process(terminal.process.pid).children(recursive=True)
    assert any("prefect" in " ".join(process.cmdline()) for process in everything)
    terminal.close()
    gate.touch()
    assert terminal.process.wait(timeout=60) in (0, 1)
    _, alive = psutil.wait_procs(everything, timeout=30)
    assert [process.cmdline() for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_run_ends_at_its_chunk_edge_when_its_terminal_is_closed(talking: Served, gate: Path):
    _hang_up(Terminal(["run", "talking", "-c", f"gate={gate}"], talking.environment), gate)
    (job,) = talking.workspace.service.list()
    assert (job.status, job.result.errors) == (Status.PAUSED, [])
    assert 1 <= len(talking.tally(job)) == job.result.advancement_count < 400


def test_serve_ends_with_all_it_has_started_when_its_terminal_is_closed(talking: Served, gate: Path):
    terminal = Terminal(["serve"], talking.environment)
    wait_until(lambda: STARTED.encode() in terminal.shown, 120, "the start of serve")
    subprocess.run([*COMMAND, "create", "talking", "-c", f"gate={gate}"], env=talking.environment, check=True)
    _hang_up(terminal, gate)
    (job,) = talking.workspace.service.list()
    assert (job.status, job.worker, job.result.errors) == (Status.PROCESSING, None, [])
    assert 1 <= len(talking.tally(job)) == job.result.advancement_count < 400
    assert talking.history(job)[-1] == "interrupt by prefect"
