"""A Prefect server of our own: started on this machine, found by other commands, stopped with whoever started it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batch_jobs.deployments.errors import PrefectDidNotStart
from batch_jobs.flows.prefect.address import API_URL, AUTH_STRING, KnownPrefect, auth_string
from batch_jobs.strategies.sdk.closed_folders import make_folder, opener
from batch_jobs.strategies.sdk.errors import has_room

#: Where Prefect's own `prefect server start` listens.
USUAL_PORT = 4200
HOST = "127.0.0.1"
#: What a server of our own may be called by; it listens on this machine only.
NAMES = (HOST, "localhost")
#: Starts a server; the port comes after it.
SERVER_COMMAND = [sys.executable, "-m", "batch_jobs.deployments.prefect.own_server"]
START_SECONDS = 120
STOP_SECONDS = 20
LARGEST_LOG = 10_000_000
#: How pydantic ends a server whose settings, of class ``RunnerSettings`` say, it cannot read.
WRONG_SETTING = re.compile(r"validation errors? for (\w*)Settings\n(\w+)\n  (.+?) \[type=")


def own_origins(port: int) -> list[str]:
    """The origins of the pages that a server of our own gives out."""
    return [f"http://{name}:{port}" for name in NAMES]


def server_environment(home: Path, port: int) -> dict[str, str]:
    """The variables that a Prefect server of our own is started with."""
    address, secret = f"http://{HOST}:{port}/api", auth_string(home)
    return {
        "PREFECT_HOME": os.environ.get("PREFECT_HOME") or str(home / "prefect"),
        API_URL: address,
        AUTH_STRING: secret,
        "PREFECT_UI_API_URL": address,  # the UI is not told the port otherwise
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_API_AUTH_STRING": secret,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": ",".join(own_origins(port)),
    }


class PortTaken(Exception):
    """A port was free, and is another's by the time that a server would listen there."""


class PrefectServer:
    """A Prefect server with its data in ``home/prefect``, at one address however often it is started.

    It has a process group of its own, so that Ctrl-C reaches this process and not the server it still needs.
    """

    def __init__(self, home: Path, port: int) -> None:
        self._environment = server_environment(home, port)
        self._port = port
        self._command = [*SERVER_COMMAND, str(port)]
        self._process: subprocess.Popen[bytes] | None = None
        #: As those know it who may talk to it.
        self.known = KnownPrefect(self._environment[API_URL], "batch-jobs serve", self._environment[AUTH_STRING])
        self.log = home / "prefect-server.log"

    def launch(self) -> None:
        """Start it, without waiting for its answer; by the main thread, as the kernel ends it with that thread."""
        make_folder(Path(self._environment["PREFECT_HOME"]))
        with open(self.log, "ab", opener=opener) as output:
            self._process = subprocess.Popen(
                self._command,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=0o077,  # what it keeps holds the contexts of jobs
            )

    def has_ended(self) -> bool:
        """Whether it was started and has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def await_answer(self) -> None:
        """Wait until it answers.

        Raises:
            PortTaken: somebody else came to listen on its port first.
            PrefectDidNotStart: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + START_SECONDS
        while not _answers_as(self.known):
            if self.has_ended() and free_port(self._port) != self._port:
                raise PortTaken
            if self.has_ended() or time.monotonic() > deadline:
                raise PrefectDidNotStart(self.log, _wrong_setting(self.log) or _no_room(self.log.parent))
            time.sleep(0.1)

    def bound_log(self) -> None:
        """Let its log not grow for ever; the last of it is kept beside it, once. It appends, so it begins anew."""
        if self.log.stat().st_size > LARGEST_LOG:
            shutil.copyfile(self.log, self.log.with_name(f"{self.log.name}.1"))
            os.truncate(self.log, 0)

    def stop(self) -> None:
        """End it, in order where it lets itself be."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_server(home: Path, port: int) -> Iterator[PrefectServer]:
    """Run a Prefect server that answers, at this port unless somebody else listens there by then.

    Raises:
        PrefectDidNotStart: it ended, or did not answer in time.
    """
    server = PrefectServer(home, port)
    with open(server.log, "wb", opener=opener):  # its log begins anew
        pass
    server.launch()
    try:
        try:
            server.await_answer()
        except PortTaken:
            server = PrefectServer(home, free_port())
            server.launch()
            server.await_answer()
        yield server
    finally:
        server.stop()


def free_port(wished: int = 0) -> int:
    """The wished port when nobody listens there, else any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wished))
        except OSError:
            return free_port()
        return int(probe.getsockname()[1])


def answers(api_url: str) -> bool:
    """Whether a Prefect server says that it is well."""
    return _is_ok(f"{api_url}/health", {})


def _answers_as(known: KnownPrefect) -> bool:
    """Whether it is this very server of ours that answers: another one does not take its auth string."""
    return _is_ok(f"{known.api_url}/admin/version", known.headers())


def _is_ok(url: str, headers: dict[str, str]) -> bool:
    import httpx

    secure = url.startswith("https:")  # to read the certificates that nobody asks for takes longer than all else
    try:
        return httpx.get(url, headers=headers, timeout=5, verify=secure).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _wrong_setting(log: Path) -> str | None:
    """The setting of Prefect that its server could not read, and why, where that ended it."""
    found = WRONG_SETTING.search(log.read_text(errors="replace"))
    if found is None:
        return None
    group, name, reason = found.groups()
    words = [*re.findall("[A-Z]+(?![a-z])|[A-Z][a-z]+", group), name]
    return f"PREFECT_{'_'.join(words).upper()}: {reason}"


def _no_room(home: Path) -> str | None:
    if has_room(home):  # if not, its log, which lies there too, does not say so
        return None
    return f"the disk of BATCH_JOBS_HOME ({home}), where its database is, is full"
