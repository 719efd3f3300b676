"""Where partitions run: Prefect's task runners, by the setting ``TASK_RUNNER``, and what each of them needs."""

import multiprocessing.connection
import os
import secrets
import signal
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from prefect.settings import get_current_settings
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from batch_jobs.flows.errors import RunnerIncomplete
from batch_jobs.flows.settings import Settings
from batch_jobs.strategies.sdk.database import database_of_url

Runner = TaskRunner[Any]


def require_runner(settings: Settings) -> None:
    """Make sure that partitions can run where the setting says.

    Raises:
        RunnerIncomplete: names everything that is missing.
    """
    kind, _, address = settings.task_runner.partition("://")
    if kind in ("threads", "processes"):
        return
    missing = []
    if find_spec(f"prefect_{kind}") is None:
        missing.append(f"the extra {kind} (pip install 'prefect-batch-jobs[{kind}]')")
    if get_current_settings().api.url is None:
        missing.append("PREFECT_API_URL, else each worker starts a Prefect server of its own")
    if address:
        missing += _missing_elsewhere(settings)
    if missing:
        raise RunnerIncomplete(settings.task_runner, missing)


def _missing_elsewhere(settings: Settings) -> list[str]:
    """What workers on other machines lack."""
    missing = []
    if not settings.secret_key.get_secret_value():
        missing.append("BATCH_JOBS_SECRET_KEY, the same on every machine")
    for name, url in (("DATABASE_URL", settings.jobs_url), ("TARGET_URL", settings.data_url)):
        if database_of_url(url).is_embedded:
            missing.append(f"a BATCH_JOBS_{name} that workers reach (SQLite is a file of this machine)")
    if not settings.files_url:
        missing.append("a BATCH_JOBS_FILES_URL that workers reach, such as s3://bucket/jobs or a shared folder")
    return missing


def runner_maker(settings: Settings, size: int) -> Callable[[], Runner]:
    """What makes the runner for so many partitions at a time."""
    kind, _, address = settings.task_runner.partition("://")
    if kind == "threads":
        return lambda: ThreadPoolTaskRunner(max_workers=size)
    if kind == "processes":
        return lambda: ProcessPoolTaskRunner(max_workers=1, initializer=_end_with_parent)
    if kind == "dask":
        return lambda: _dask(address, size)
    return lambda: _ray(settings.task_runner if address else "", size)


def has_runner_each(settings: Settings) -> bool:
    """Whether each partition at work gets a runner of its own."""
    return settings.task_runner == "processes"


def _dask(address: str, size: int) -> Runner:
    from prefect_dask.task_runners import DaskTaskRunner

    # with certificates of its own: anybody on the machine may connect to its ports, and what they send is run
    local = {
        "n_workers": size,
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        "dashboard_address": None,
        "security": True,
    }
    runner: Runner = DaskTaskRunner(f"tcp://{address}") if address else DaskTaskRunner(cluster_kwargs=local)
    return runner


def _ray(address: str, size: int) -> Runner:
    if not address:
        # Ray listens on all addresses of the machine, and without a token runs what anybody sends it
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    from prefect_ray.task_runners import RayTaskRunner

    local = {"num_cpus": size, "include_dashboard": False}
    runner: Runner = RayTaskRunner(address) if address else RayTaskRunner(init_kwargs=local)
    return runner


def _end_with_parent() -> None:
    """Leave Ctrl-C to the process that has the job, and end at once when that is gone: its rows are safe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
