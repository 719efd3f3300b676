"""Real servers for the tests, on 127.0.0.1 and free ports, stopped by their own pid."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from random import SystemRandom

from batch_jobs.deployments.prefect.server import answers

#: Starts a Prefect as somebody has who has one, open to all of this machine.
SERVER_COMMAND = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
START_SECONDS = 120
#: Goes when this process ends.
_KEPT = tempfile.TemporaryDirectory(prefix="prefect-")
#: A database that Prefect has made for itself, which takes it longer than all else of a first start.
MADE = Path(_KEPT.name) / "prefect.db"


def free_port() -> int:
    """A port that is free now; below those that systems give to connections, as one of these could take it."""
    while True:
        port = SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], bool], seconds: float = 90, what: str = "the condition") -> None:
    """Poll until something is true; fail when it does not come true in time."""
    deadline, pause = time.monotonic() + seconds, 0.01
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true in {seconds} s"
        time.sleep(pause)
        pause = min(1.5 * pause, 0.25)  # to look costs what is waited for some of its time


def give_database(home: Path) -> None:
    """Give a home of Prefect that has no database one that is made already, where there is such."""
    if MADE.exists() and not (home / MADE.name).exists():
        home.mkdir(exist_ok=True)
        shutil.copy(MADE, home)


def _keep_database(home: Path) -> None:
    if not MADE.exists():
        with closing(sqlite3.connect(home / MADE.name)) as made, closing(sqlite3.connect(MADE)) as kept:
            made.backup(kept)


def prefect_environment(home: Path, port: int) -> dict[str, str]:
    """The variables of a Prefect server, and of those that talk to it."""
    address = f"http://127.0.0.1:{port}/api"
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": address,
        "PREFECT_UI_API_URL": address,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


class PrefectServer:
    """A Prefect server with its own data that can be stopped, killed and started again on its port."""

    def __init__(self, home: Path, port: int) -> None:
        self.environment = prefect_environment(home, port)
        self._home = home
        self._log = home / "server.log"
        self._command = [*SERVER_COMMAND, "--port", str(port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._home.mkdir(exist_ok=True)
        give_database(self._home)
        with self._log.open("ab") as log:
            environment = {**os.environ, **self.environment}
            self._process = subprocess.Popen(self._command, env=environment, stdout=log, stderr=log)
        wait_until(lambda: answers(self.environment["PREFECT_API_URL"]), START_SECONDS, "Prefect's answer")
        _keep_database(self._home)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that does not help."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def prefect_server(home: Path, port: int | None = None) -> Iterator[dict[str, str]]:
    """Run a Prefect server with its own data; yields its variables."""
    server = PrefectServer(home, port or free_port())
    server.start()
    try:
        yield server.environment
    finally:
        server.stop()
