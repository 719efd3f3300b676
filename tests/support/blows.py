"""All that may happen to workers, their runs, their databases and Prefect, struck at random."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

import psutil
from sqlalchemy import text

from support.proxy import Proxy
from support.servers import PrefectServer
from support.serving import Served

#: For how long a process is frozen, or a database away, at most.
SECONDS = 12.0


class Blows:
    """Strikes what serves; nobody else is hurt."""

    def __init__(self, served: Served, prefect: PrefectServer, proxy: Proxy, chance: random.Random) -> None:
        self.struck: Counter[str] = Counter()
        self._served = served
        self._prefect = prefect
        self._proxy = proxy
        self._chance = chance
        self._frozen: list[tuple[float, psutil.Process]] = []
        self._kinds: Mapping[str, tuple[int, Callable[[], None]]] = {
            "run killed": (5, self._kill_run),
            "run frozen": (4, self._freeze_run),
            "worker killed": (2, self._kill_worker),
            "worker replaced": (2, self._replace_worker),
            "connections cut": (4, self._proxy.end_all),
            "sessions ended": (4, self._end_sessions),
            "databases away": (2, self._close_databases),
            "rows locked": (2, self._lock_rows),
            "prefect killed": (1, self._restart_prefect),
        }

    def strike(self) -> None:
        """One blow; what was frozen for long enough goes on."""
        self._thaw(time.monotonic())
        names = list(self._kinds)
        name = self._chance.choices(names, weights=[self._kinds[one][0] for one in names])[0]
        self._kinds[name][1]()
        self.struck[name] += 1

    def end(self) -> None:
        """Nothing is frozen any more, and workers live."""
        self._thaw(float("inf"))
        while len(self._workers()) < 2:
            self._served.start("worker")

    def _workers(self) -> list[psutil.Process]:
        return [psutil.Process(process.pid) for process in self._served.processes if process.poll() is None]

    def _run(self) -> psutil.Process | None:
        runs = [run for worker in self._workers() for run in worker.children(recursive=True)]
        return self._chance.choice(runs) if runs else None

    def _kill_run(self) -> None:
        with suppress(psutil.NoSuchProcess):
            if run := self._run():
                run.kill()

    def _freeze_run(self) -> None:
        with suppress(psutil.NoSuchProcess):
            if run := self._run():
                run.suspend()
                self._frozen.append((time.monotonic() + self._chance.uniform(1, 2 * SECONDS), run))

    def _thaw(self, now: float) -> None:
        for until, run in [frozen for frozen in self._frozen if frozen[0] <= now]:
            self._frozen.remove((until, run))
            with suppress(psutil.NoSuchProcess):
                run.resume()

    def _kill_worker(self) -> None:
        living = [process for process in self._served.processes if process.poll() is None]
        if living:
            self._served.kill_with_runs(self._chance.choice(living))
        self._served.start("worker")

    def _replace_worker(self) -> None:
        self._thaw(float("inf"))  # a frozen run would have its worker wait for it
        living = [process for process in self._served.processes if process.poll() is None]
        if living:
            self._served.stop(self._chance.choice(living), signal.SIGTERM)
        self._served.start("worker")

    def _end_sessions(self) -> None:
        with self._served.workspace.target.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5"
                )
            )
        self._served.workspace.jobs.dispose()
        self._served.workspace.target.dispose()

    def _close_databases(self) -> None:
        with self._proxy.closed():
            time.sleep(self._chance.uniform(1, SECONDS))

    def _lock_rows(self) -> None:
        """Somebody else holds rows of the table, and then waits for others of it."""
        with self._served.workspace.target.connect() as connection, connection.begin():
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            for key in self._chance.sample(range(600), 3):
                with suppress(Exception):
                    connection.execute(text("SELECT id FROM goods WHERE id = :id FOR UPDATE"), {"id": key})
                time.sleep(0.5)

    def _restart_prefect(self) -> None:
        self._prefect.kill()
        self._prefect.start()
