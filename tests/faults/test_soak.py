"""`make soak`: many jobs over several workers while everything that may fail does, all faults mixed.

Several workers want a Prefect on PostgreSQL: ``BATCH_JOBS_SOAK_PREFECT_DATABASE`` is the address of an empty database
with pg_trgm (``postgresql+asyncpg://...``). Without there are fewer jobs at a time, as the writes of its SQLite block
each other. ``BATCH_JOBS_SOAK_SECONDS`` is for how long faults go on; afterwards every job must come to its end.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from batch_jobs.flows.errors import ActionIllegal, JobMoved, JobTaken, NotLaunched
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.transitions import Status
from support.blows import Blows
from support.proxy import Proxy, proxied
from support.servers import PrefectServer, free_port, wait_until
from support.serving import Served

PREFECT_DATABASE = os.environ.get("BATCH_JOBS_SOAK_PREFECT_DATABASE")
SECONDS = float(os.environ.get("BATCH_JOBS_SOAK_SECONDS", "3600"))
#: How long the last jobs have for their end once nothing fails any more.
CALM_SECONDS = 600
AT_ONCE = 24 if PREFECT_DATABASE else 12
ROWS = 20
#: An import's file has all of these keys in an order of its own, and all imports go into one table.
KEYS = 600
WORKERS = int(os.environ.get("BATCH_JOBS_SOAK_WORKERS", "3"))
PAUSE = (2.0, 8.0)  # seconds between two blows
ENDED = (Status.COMPLETED, Status.CANCELED)


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + CALM_SECONDS + 1_800)
def test_each_row_of_every_job_is_applied_once_while_everything_fails_at_random(tmp_path: Path, postgres_url: str):
    chance = random.Random(1848)
    with proxied(postgres_url) as proxy, serving(tmp_path, postgres_url, proxy) as (served, prefect):
        blows = Blows(served, prefect, proxy, chance)
        soak = Soak(served, chance)
        soak.go_on(until=time.monotonic() + SECONDS, blow=blows.strike)
        blows.end()
        soak.finish()
        jobs = soak.jobs()
        print(f"\n{len(jobs)} jobs, {dict(Counter(str(job.status) for job in jobs))}, {dict(blows.struck)}")
        soak.assert_applied_once(jobs)


@contextmanager
def serving(folder: Path, postgres_url: str, proxy: Proxy) -> Iterator[tuple[Served, PrefectServer]]:
    """Workers whose databases are behind the proxy; the workspace that looks on has a way of its own."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    prefect = PrefectServer(folder, free_port())
    if PREFECT_DATABASE:
        prefect.environment["PREFECT_API_DATABASE_CONNECTION_URL"] = PREFECT_DATABASE
    prefect.start()
    served = Served(folder, postgres_url, postgres_url, prefect.environment, heartbeat_timeout=15)
    served.settings |= {"DATABASE_URL": proxy.url, "TARGET_URL": proxy.url}
    try:
        with temporary_settings({PREFECT_API_URL: prefect.environment["PREFECT_API_URL"]}):
            for _ in range(WORKERS):
                served.start("worker")
            yield served, prefect
    finally:
        served.close()
        prefect.stop()


class Soak:
    """Creates jobs of three kinds, and does to them what people do, until they have ended."""

    def __init__(self, served: Served, chance: random.Random) -> None:
        self._served = served
        self._service = served.workspace.service
        self._chance = chance
        self._made = 0
        with served.workspace.target.begin() as connection:
            connection.execute(text("CREATE TABLE goods (id INTEGER PRIMARY KEY, code TEXT UNIQUE, price INTEGER)"))

    def go_on(self, until: float, blow: Callable[[], None]) -> None:
        next_blow = time.monotonic() + self._chance.uniform(*PAUSE)
        while time.monotonic() < until:
            open_jobs = self._open()
            for _ in range(AT_ONCE - len(open_jobs)):
                self._create()
            for job in open_jobs:
                self._meddle(job)
            if time.monotonic() > next_blow:
                blow()
                next_blow = time.monotonic() + self._chance.uniform(*PAUSE)
            time.sleep(0.5)

    def finish(self) -> None:
        def all_ended() -> bool:
            for job in self._open():
                self._let_go_on(job)
            return not self._open()

        try:
            wait_until(all_ended, CALM_SECONDS, "the end of every job")
        except AssertionError as error:
            stuck = [(job.id, job.status, self._served.history(job)[-6:]) for job in self._open()]
            raise AssertionError(f"{error}: {stuck}") from None

    def jobs(self) -> list[Job]:
        return self._served.workspace.store.newest(JobFilter(), limit=100_000)

    def assert_applied_once(self, jobs: list[Job]) -> None:
        assert {job.status for job in jobs} <= {*ENDED}
        with self._served.workspace.target.connect() as connection:
            tally = text("SELECT job_id, count(*), count(DISTINCT i), max(i) FROM tally GROUP BY job_id")
            rows = {row[0]: tuple(row[1:]) for row in connection.execute(tally)}
            goods = tuple(connection.execute(text("SELECT count(*), count(DISTINCT code) FROM goods")).one())
        for job in jobs:
            if job.type == "gated":
                count = ROWS if job.status is Status.COMPLETED else rows.get(job.id, (0,))[0]
                assert rows.get(job.id, (0, 0, None)) == (count, count, count or None), job
                assert (job.result.created, job.result.advancement_count) == (count, count), job
        imports = [job for job in jobs if job.type == "table-import"]
        assert sum(job.result.created for job in imports) == goods[0], "rows are counted as created once"
        assert goods == ((KEYS, KEYS) if any(job.status is Status.COMPLETED for job in imports) else goods)
        assert all(job.result.advancement_count == KEYS for job in imports if job.status is Status.COMPLETED)

    def _open(self) -> list[Job]:
        return [job for job in self.jobs() if job.status not in ENDED]

    def _create(self) -> None:
        self._made += 1
        with suppress(NotLaunched):  # it is recorded; a worker starts it
            if self._made % 3:
                self._service.create("gated", {"limit": ROWS, "key": str(self._made)})
            else:
                context = {"file_key": self._shuffled(), "table": "goods", "mode": "upsert"}
                self._service.create("table-import", context)

    def _shuffled(self) -> str:
        keys = list(range(KEYS))
        self._chance.shuffle(keys)
        path = self._served.folder / "goods.csv"
        path.write_text("id,code,price\n" + "".join(f"{key},code {key},{self._made}\n" for key in keys))
        with path.open("rb") as stream:
            return self._served.workspace.files.put(stream, path.name)

    def _meddle(self, job: Job) -> None:
        """What people do: retry what failed, cancel, pause and resume."""
        dice = self._chance.random()
        with suppress(ActionIllegal, JobMoved, JobTaken, NotLaunched):
            if dice < 0.004:
                self._service.cancel(job.id, who="soak")
            elif dice < 0.02:
                self._service.pause(job.id, who="soak")
            elif dice < 0.5:
                self._let_go_on(job)

    def _let_go_on(self, job: Job) -> None:
        with suppress(ActionIllegal, JobMoved, JobTaken, NotLaunched):
            if job.status is Status.FAILED:
                self._service.retry(job.id, who="soak")
            elif job.status is Status.PAUSED:
                self._service.resume(job.id, who="soak")
