"""A run's process dies before it has taken up its job: another one does, three times."""

from pathlib import Path

import pytest

from batch_jobs.flows.jobs.transitions import Status
from support.serving import Served, write_strategy

pytestmark = pytest.mark.long

PLAIN = '''"""Does nothing."""

from batch_jobs.strategies import BatchJobStrategy


class Plain(BatchJobStrategy):
    """Do nothing."""

    identifier = "plain-strategy"
    batch_type = "plain"

    def process(self, job):
        pass

    def build_template(self):
        return ""
'''
#: At the top of a strategy's file: its process ends before it has taken up anything.
DYING = """import os

os.kill(os.getpid(), 9)
"""
DYING_ONCE = """import os
from pathlib import Path

if not (died := Path(__file__).with_name("died")).exists():
    died.touch()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_S8_a_job_whose_process_dies_before_it_took_it_up_gets_three_more_and_then_fails(
    tmp_path: Path, prefect_of_module: dict[str, str], postgres_url: str, command: str
):
    write_strategy(tmp_path, PLAIN)
    served = Served(tmp_path, postgres_url, postgres_url, prefect_of_module, strategies=tmp_path / "strategies")
    served.start(command)
    try:
        served.until_status(served.create("plain"), Status.COMPLETED)
        write_strategy(tmp_path, DYING_ONCE + PLAIN)
        once = served.until_status(served.create("plain"), Status.COMPLETED)
        assert "relaunch by prefect" in served.history(once)
        write_strategy(tmp_path, DYING + PLAIN)
        lost = served.until_status(served.create("plain"), Status.FAILED)
        history = served.workspace.service.events(lost.id)
        killed = "its process was ended by SIGKILL before it took up the job"
        assert [event.action for event in history] == ["create", "relaunch", "relaunch", "relaunch", "fail"]
        assert {event.why for event in history[1:]} == {f"its run is DiedUnbegun: {killed}"}
        assert lost.attempt == 1
        assert served.stop(served.processes[0]) == 0
    finally:
        served.close()


#: By where a strategy ends its process, which then says that all is well: before and after it has taken up its job.
LEAVING = {
    "process": PLAIN.replace("        pass", "        __import__('os')._exit(0)"),
    "init": PLAIN.replace("    def process", "    def __init__(self):\n        leave()\n\n    def process"),
}
LEAVE = """import os


def leave():
    if "PREFECT__FLOW_RUN_ID" in os.environ:
        os._exit(0)


"""


def test_a_process_that_ends_by_itself_with_code_0_is_found_as_soon_as_any_other(
    tmp_path: Path, prefect_of_module: dict[str, str], postgres_url: str
):
    write_strategy(tmp_path, PLAIN)
    served = Served(
        tmp_path, postgres_url, postgres_url, prefect_of_module, 3600, strategies=tmp_path / "strategies"
    )  # an hour's heartbeat: nothing but the end of the process can say so
    served.start("worker")
    try:
        served.until_status(served.create("plain"), Status.COMPLETED)
        write_strategy(tmp_path, LEAVE + LEAVING["process"])
        left = served.until_status(served.create("plain"), Status.FAILED)
        assert served.until_run(left, "CRASHED") == "CRASHED"
        write_strategy(tmp_path, LEAVE + LEAVING["init"])
        unbegun = served.until_status(served.create("plain"), Status.FAILED)
        history = served.workspace.service.events(unbegun.id)
        assert [event.action for event in history] == ["create", "relaunch", "relaunch", "relaunch", "fail"]
        assert "its process ended with exit code 0 before it took up the job" in str(history[-1].why)
        write_strategy(tmp_path, PLAIN)
        served.workspace.service.retry(left.id, who="test")
        served.until_status(left, Status.COMPLETED)
    finally:
        served.close()
