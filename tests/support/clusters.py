"""A Dask cluster whose scheduler and workers are processes of their own, on free ports of 127.0.0.1."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from support.servers import free_port

START_SECONDS = 120


class DaskCluster:
    """A scheduler and workers with one thread each, every one of which may be killed.

    Args:
        folder: for logs and what workers write.
        environment: of all of them, with the settings of the jobs.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self._folder = folder
        self._environment = environment
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start_scheduler(self) -> None:
        """Start it, on the port it had before."""
        self._scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")

    def start_worker(self) -> None:
        """Start a worker under a nanny, which starts it again when it is killed."""
        options = ["--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1", "--death-timeout", "300"]
        folder = ["--local-directory", str(self._folder / "dask")]
        self._workers.append(self._start("worker", f"tcp://{self.address}", *options, *folder))

    def kill_scheduler(self) -> None:
        """SIGKILL."""
        assert self._scheduler is not None
        self._scheduler.kill()
        self._scheduler.wait()

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many have come to the scheduler."""
        from distributed import Client

        with Client(f"tcp://{self.address}", timeout=START_SECONDS) as client:
            client.wait_for_workers(count, timeout=START_SECONDS)

    def stop(self) -> None:
        """SIGKILL to all of it."""
        for process in [*self._workers, *filter(None, [self._scheduler])]:
            if process.poll() is None:
                children = psutil.Process(process.pid).children(recursive=True)
                process.kill()
                for child in children:
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            process.wait(timeout=30)

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + what, *options]
        with (self._folder / f"dask-{what}.log").open("ab") as log:
            return subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)


@contextmanager
def dask_cluster(folder: Path, environment: dict[str, str], workers: int) -> Iterator[DaskCluster]:
    """A scheduler with so many workers."""
    cluster = DaskCluster(folder, environment)
    try:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker()
        cluster.wait_for_workers(workers)
        yield cluster
    finally:
        cluster.stop()
