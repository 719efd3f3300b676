"""HOME is closed to others, whatever the umask, also what Prefect and runs leave in it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.command_line import COMMAND, ROOT
from support.servers import give_database, wait_until

pytestmark = pytest.mark.long


def test_nothing_that_serve_and_a_job_leave_in_home_is_open_to_others(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in [name for name in os.environ if name.startswith("PREFECT_API")]:
        monkeypatch.delenv(name)  # the Prefect of other tests is not this home's
    named = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**named, "PYTHONPATH": str(ROOT), "BATCH_JOBS_API_PORT": "0"}
    environment["PREFECT_PROFILES_PATH"] = str(tmp_path / "none.toml")
    home.mkdir()  # open, with a database in it, as one of an earlier release may be
    give_database(home / "prefect")
    log = tmp_path / "serve.log"
    with log.open("wb") as output:
        serving = subprocess.Popen([*COMMAND, "serve"], env=environment, stdout=output, stderr=output, umask=0)
    try:
        wait_until(lambda: "Ctrl-C stops" in log.read_text() or serving.poll() is not None, 300, "the start of serve")
        workspace = Workspace(Settings(home=home))
        with workspace.target.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE goods (code TEXT)")
        job = workspace.service.create("table-export", {"table": "goods"})
        wait_until(lambda: workspace.service.get(job.id).status is Status.COMPLETED, 180, "the job's end")

        opened = {
            str(path): oct(path.stat().st_mode) for path in (home, *home.rglob("*")) if path.stat().st_mode & 0o077
        }
        assert {"jobs.db", "data.db", "files", "prefect", "serve.lock"} <= {path.name for path in home.iterdir()}
        assert opened == {}
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.wait(60)
