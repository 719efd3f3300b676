"""What the processes of runs inherit: the same home and strategies, wherever they are started."""

import os

from batch_jobs.flows.settings import Settings


def set_run_environment(settings: Settings, verbose: bool) -> None:
    """Set it for this process and those it starts; ``verbose`` lets Prefect's log lines through to the terminal."""
    os.environ["BATCH_JOBS_HOME"] = str(settings.home)
    if settings.strategy_folders:
        folders = (str(folder.absolute()) for folder in settings.strategy_folders)
        os.environ["BATCH_JOBS_STRATEGIES"] = os.pathsep.join(folders)
    if not verbose:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "WARNING")
        os.environ.setdefault("PREFECT_INTERNAL_LOGGING_LEVEL", "CRITICAL")  # it complains of each event not sent
