"""A Prefect server of our own: started on this machine, found by other commands, stopped with whoever started it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from deployments.errors import PrefectDidNotStart
from flows.process_identity import ProcessIdentity

#: Where Prefect's own `prefect server start` listens.
USUAL_PORT = 4200
START_SECONDS = 120
STOP_SECONDS = 20


def server_environment(home: Path, port: int) -> dict[str, str]:
    """The variables that a Prefect server of our own is started with."""
    return {
        "PREFECT_HOME": os.environ.get("PREFECT_HOME") or str(home / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api",  # the UI is not told the port otherwise
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


@contextmanager
def running_server(home: Path, port: int) -> Iterator[str]:
    """Run a Prefect server with its data in ``home/prefect``; yields its API's address.

    It has a process group of its own, so that Ctrl-C reaches this process and not the server it still needs.

    Raises:
        PrefectDidNotStart: it ended, or did not answer in time.
    """
    environment = server_environment(home, port)
    Path(environment["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
    log = home / "prefect-server.log"
    prefect = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "deployments.bound_process", *prefect],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _await_answer(server, environment["PREFECT_API_URL"], log)
        yield environment["PREFECT_API_URL"]
    finally:
        _stop(server)


def free_port(wished: int = 0) -> int:
    """The wished port when nobody listens there, else any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wished))
        except OSError:
            return free_port()
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Announcement:
    """The note of a running ``serve`` in its home: where its Prefect is, and which process serves."""

    api_url: str
    host: str
    pid: int
    started_at: float

    @classmethod
    def of_this_process(cls, api_url: str) -> "Announcement":
        """The note that this process serves."""
        return cls(api_url, **asdict(ProcessIdentity.current()))

    @classmethod
    def read(cls, home: Path) -> "Announcement | None":
        """The note of a process that still serves in this home."""
        try:
            found = cls(**json.loads(_path(home).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return None if ProcessIdentity(found.host, found.pid, found.started_at).is_known_dead() else found

    @contextmanager
    def kept_in(self, home: Path) -> Iterator[None]:
        """Leave the note in a home while the block runs."""
        passing = _path(home).with_suffix(".part")
        passing.write_text(json.dumps(asdict(self)))
        passing.replace(_path(home))
        try:
            yield
        finally:
            _path(home).unlink(missing_ok=True)


def answers(api_url: str) -> bool:
    """Whether a Prefect server says that it is well."""
    import httpx

    try:
        return httpx.get(f"{api_url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _path(home: Path) -> Path:
    return home / "prefect-server.json"


def _await_answer(server: subprocess.Popen[bytes], api_url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(api_url):
        if server.poll() is not None or time.monotonic() > deadline:
            raise PrefectDidNotStart(log)
        time.sleep(0.1)


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
