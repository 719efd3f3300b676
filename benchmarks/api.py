"""The HTTP API under load, beside a bare FastAPI route with one SELECT: PostgreSQL, this machine's cores for all of it.

No Prefect runs: what a job costs there is measured elsewhere, and no answer waits for it.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from benchmarks.databases import Postgres
from benchmarks.report import Measured, console, show

POLLERS, CREATORS, PAUSE = 200, 20, 1.0  # clients, and seconds between two requests of one
SECONDS = int(os.environ.get("BENCH_API_SECONDS", "60"))
RATE_SECONDS, RATE_CLIENTS, ROUNDS = 4, 20, 3
GET_MS, POST_MS, RATIO = 50, 150, 0.6
HISTORY, HISTORY_ROUNDS, CONSTANT = 10_000, 150, 1.25


@dataclass
class Times:
    """How long answers took, in ms, and how many were none."""

    taken: list[float] = field(default_factory=list)
    errors: int = 0

    def p95(self) -> float:
        return statistics.quantiles(self.taken, n=20)[-1] if len(self.taken) > 1 else float("nan")


class Client:
    """One connection that is kept; a library's client would take more of the cores than the server."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._place = (parts.hostname, parts.port)
        self._head = f"Host: bench\r\nx-medusa-access-token: {key}\r\nContent-Type: application/json\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._place)
        reader, writer = self._streams
        writer.write(f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        return int(head[9:12]), await reader.readexactly(length)


_NEW = json.dumps({"type": "table-export", "context": {"table": "goods"}, "dry_run": True}).encode()
_REQUESTS = (
    ("a page and its count", "GET", "/admin/batch-jobs", b""),
    ("the same of a type and a status", "GET", "/admin/batch-jobs?type[]=table-export&status=created", b""),
    ("a page after a cursor", "GET", "/admin/batch-jobs?cursor=", b""),
    ("creating a job", "POST", "/admin/batch-jobs", _NEW),
)


def measure(work: Path, goods: Path, rows: int) -> None:
    postgres = Postgres(work / "pg-api")
    with postgres.database() as uri:
        workspace = _workspace(work, uri)
        _, key = workspace.api_keys.create("bench", Role.OPERATOR)
        ids = [_create(workspace, number) for number in range(POLLERS)]
        environment = _environment(work, uri)
        with _Server("bare", environment) as bare, _Server("ours", environment) as ours:
            _compare(bare, ours, key, ids)
            _under_load(bare, ours, key, ids)
        workspace.jobs.dispose()
    with postgres.database() as few, postgres.database() as many:
        _with_history(work, few, many)
    postgres.stop()


def _compare(bare: "_Server", ours: "_Server", key: str, ids: list[str]) -> None:
    """Rounds take turns, as whatever else this machine does would hit one of them only."""
    rates: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(ROUNDS):
        rates["bare"].append(asyncio.run(_rate(bare.url, key, [f"/jobs/{job_id}" for job_id in ids])))
        rates["ours"].append(asyncio.run(_rate(ours.url, key, [f"/admin/batch-jobs/{job_id}" for job_id in ids])))
    plain, full = statistics.median(rates["bare"]), statistics.median(rates["ours"])
    lines = [
        Measured("a bare FastAPI route with one SELECT", plain),
        Measured("GET /admin/batch-jobs/{id}", full, plain, RATIO),
    ]
    show(f"HTTP, {RATE_CLIENTS} connections as fast as they can, PostgreSQL", "requests/s", lines)


def _under_load(bare: "_Server", ours: "_Server", key: str, ids: list[str]) -> None:
    asyncio.run(_load(ours.url, key, ids, min(10, SECONDS)))
    plain = asyncio.run(_polled(bare.url, key, [f"/jobs/{job_id}" for job_id in ids], min(20, SECONDS)))
    warm = ours.megabytes()
    gets, posts = asyncio.run(_load(ours.url, key, ids, SECONDS))
    grown = ours.megabytes() - warm
    console.print(f"[bold]{POLLERS} clients polling, {CREATORS} creating, each once a second, for {SECONDS} s[/]")
    for name, times, wanted in (("GET", gets, GET_MS), ("POST", posts, POST_MS)):
        verdict = "ok" if times.p95() < wanted and not times.errors else "MISSED"
        console.print(
            f"  {name}: {len(times.taken):,} answers, {times.errors} errors,"
            f" median {statistics.median(times.taken):.1f} ms, p95 {times.p95():.1f} ms (under {wanted}) {verdict}"
        )
    console.print(
        f"  the bare route, polled alike: median {statistics.median(plain.taken):.1f} ms, p95 {plain.p95():.1f} ms"
    )
    console.print(f"  memory of the API: {warm:.0f} MB, and {grown:+.1f} MB more after it\n")


def _with_history(work: Path, few_uri: str, many_uri: str) -> None:
    """S49: one installation with few old jobs beside one with many, asked in turn."""
    workspaces = [_workspace(work, uri) for uri in (few_uri, many_uri)]
    keys = [workspace.api_keys.create("old", Role.OPERATOR)[1] for workspace in workspaces]
    for workspace, jobs in zip(workspaces, (10, 10 + HISTORY), strict=True):
        for number in range(jobs):
            _create(workspace, number, who="old")
        workspace.jobs.dispose()
    console.print(f"[bold]10 old jobs, and {HISTORY:,} more (S49)[/]")
    with _Server("ours", _environment(work, few_uri)) as few, _Server("ours", _environment(work, many_uri)) as many:
        for name, method, path, body in _REQUESTS:
            before, after = asyncio.run(_in_turn((few.url, many.url), keys, method, path, body))
            verdict = "ok" if after < CONSTANT * before else "MISSED"
            console.print(f"  {name}: {before:.1f} ms, then {after:.1f} ms (at most {CONSTANT} of it) {verdict}")
    console.print()


async def _in_turn(urls: tuple[str, str], keys: list[str], method: str, path: str, body: bytes) -> list[float]:
    """The median of what each of two servers took, in ms."""
    clients = [Client(url, key) for url, key in zip(urls, keys, strict=True)]
    taken: list[list[float]] = [[], []]
    for _ in range(HISTORY_ROUNDS):
        for client, times in zip(clients, taken, strict=True):
            asked = path
            if path.endswith("cursor="):
                asked += json.loads((await client.ask("GET", "/admin/batch-jobs?limit=5"))[1])["next_cursor"]
            begun = time.perf_counter()
            status, _ = await client.ask(method, asked, body)
            times.append(1000 * (time.perf_counter() - begun))
            assert status in (200, 201), status
    return [statistics.median(times) for times in taken]


async def _rate(url: str, key: str, paths: list[str]) -> float:
    done = 0

    async def hurry(number: int, until: float) -> None:
        nonlocal done
        client = Client(url, key)
        while time.perf_counter() < until:
            status, _ = await client.ask("GET", paths[(number + done) % len(paths)])
            assert status == 200, status
            done += 1

    begun = time.perf_counter()
    await asyncio.gather(*(hurry(number, begun + RATE_SECONDS) for number in range(RATE_CLIENTS)))
    return done / (time.perf_counter() - begun)


async def _polled(url: str, key: str, paths: list[str], seconds: int) -> Times:
    times, until = Times(), time.perf_counter() + seconds

    def asking(client: Client, path: str) -> Callable[[], Awaitable[tuple[int, bytes]]]:
        return lambda: client.ask("GET", path)

    await asyncio.gather(*(_again_and_again(asking(Client(url, key), path), 200, times, until) for path in paths))
    return times


async def _load(url: str, key: str, ids: list[str], seconds: int) -> tuple[Times, Times]:
    gets, posts = Times(), Times()
    until = time.perf_counter() + seconds

    def polling(client: Client, job_id: str) -> Callable[[], Awaitable[tuple[int, bytes]]]:
        return lambda: client.ask("GET", f"/admin/batch-jobs/{job_id}")

    def creating(client: Client) -> Callable[[], Awaitable[tuple[int, bytes]]]:
        return lambda: client.ask("POST", "/admin/batch-jobs", _NEW)

    pollers = [_again_and_again(polling(Client(url, key), job_id), 200, gets, until) for job_id in ids]
    creators = [_again_and_again(creating(Client(url, key)), 201, posts, until) for _ in range(CREATORS)]
    await asyncio.gather(*pollers, *creators)
    return gets, posts


async def _again_and_again(
    ask: Callable[[], Awaitable[tuple[int, bytes]]], wanted: int, times: Times, until: float
) -> None:
    await asyncio.sleep(PAUSE * (id(ask) % 997) / 997)  # not all at once
    while time.perf_counter() < until:
        begun = time.perf_counter()
        status, _ = await ask()
        times.taken.append(1000 * (time.perf_counter() - begun))
        times.errors += status != wanted
        await asyncio.sleep(max(0.0, PAUSE - (time.perf_counter() - begun)))


class _Server:
    """One of the two servers in a process of its own."""

    def __init__(self, which: str, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "benchmarks.api", which]
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()

    def megabytes(self) -> float:
        return psutil.Process(self._process.pid).memory_info().rss / (1 << 20)

    def __enter__(self) -> "_Server":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait(30)


def _workspace(work: Path, uri: str) -> Workspace:
    return Workspace(Settings(home=work / "api-home", database_url=uri, api_port=0))


def _environment(work: Path, uri: str) -> dict[str, str]:
    here = {"BENCH_URI": uri, "BENCH_HOME": str(work / "api-home"), "PREFECT_API_URL": ""}
    return {**os.environ, **here, "PREFECT_PROFILES_PATH": str(work / "none.toml")}


def _create(workspace: Workspace, number: int, who: str = "bench") -> str:
    return workspace.service.record("table-export", {"table": f"t{number}"}, created_by=who, dry_run=True).id


def _serve_ours() -> None:
    from batch_jobs.deployments.api.server import run_api

    workspace = Workspace(
        Settings(home=Path(os.environ["BENCH_HOME"]), database_url=os.environ["BENCH_URI"], api_port=0)
    )
    run_api(workspace, say=_print_address)


def _print_address(said: str) -> None:
    if "http://" in said:
        print(said[said.index("http://") :].partition(",")[0], flush=True)


def _serve_bare() -> None:
    """What one would write by hand: no key, no owner, no limit, the row as it is."""
    import uvicorn
    from fastapi import FastAPI
    from sqlalchemy import select

    from batch_jobs.deployments.prefect.server import free_port
    from batch_jobs.flows.jobs.table import batch_job
    from batch_jobs.strategies.sdk.database import make_engine

    app, engine = FastAPI(), make_engine(os.environ["BENCH_URI"])

    @app.get("/jobs/{job_id}")
    def get(job_id: str):  # type: ignore[no-untyped-def]
        with engine.connect() as connection:
            return dict(connection.execute(select(batch_job).where(batch_job.c.id == job_id)).one()._mapping)

    port = free_port()
    config = uvicorn.Config(app, port=port, http="h11", access_log=False, log_level="warning")
    server = uvicorn.Server(config)
    startup = server.startup

    async def announced(sockets=None):  # type: ignore[no-untyped-def]
        await startup(sockets)
        print(f"http://127.0.0.1:{port}", flush=True)

    server.startup = announced  # type: ignore[method-assign]
    server.run()


if __name__ == "__main__":
    {"ours": _serve_ours, "bare": _serve_bare}[sys.argv[1]]()
