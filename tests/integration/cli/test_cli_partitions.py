"""What the command line takes and shows of partitions."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk.result import PartitionEntry
from support.command_line import COMMAND, CommandLine
from support.jobs import job_in, partition, with_partitions


@pytest.fixture(params=["sqlite", "postgres"])
def workspace(request: pytest.FixtureRequest, home: Path, cli: CommandLine) -> Workspace:
    """The one of the command, on each database."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    cli.environment["BATCH_JOBS_DATABASE_URL"] = url
    return Workspace(Settings(home=home, database_url=url))


def running_job(workspace: Workspace, entries: list[PartitionEntry], **counts: int) -> str:
    job = job_in(workspace.store, Status.PROCESSING)
    return with_partitions(workspace.store, job, entries, **counts).id


def table_of(shown: str) -> list[list[str]]:
    """The lines under the heading Partitions, each as its cells."""
    part = shown.split("\nPartitions\n")[1].split("\nHistory\n")[0]
    return [re.split(r" {2,}", line) for line in part.splitlines() if line]


def test_a_job_is_made_with_a_number_of_partitions(workspace: Workspace, cli: CommandLine):
    job = cli("create", "steps", "--partitions", "4", "--json").json

    assert job["partitions"] == 4
    assert workspace.service.get(job["id"]).partitions == 4
    assert "partitions  4 at a time" in cli("show", job["id"]).out
    assert "partitions" not in cli("show", cli("create", "steps").out.strip()).out


@pytest.mark.slow
def test_one_that_runs_here_has_it_too_though_its_type_is_not_cut(cli_with_prefect: CommandLine):
    job = cli_with_prefect("run", "steps", "--partitions", "3", "--json").json

    assert (job["status"], job["partitions"]) == ("completed", 3)


@pytest.mark.parametrize("command", ["run", "create"])
@pytest.mark.parametrize(
    ("number", "said"),
    [("0", "greater than or equal to 1"), ("1001", "less than or equal to 1000"), ("two", "a valid integer")],
)
def test_another_number_is_refused_in_one_line(cli: CommandLine, command: str, number: str, said: str):
    done = cli(command, "steps", "--partitions", number)

    assert done.code == 2
    assert done.error.startswith("Invalid value for '--partitions': ")
    assert said in done.error
    assert cli("list", "--json").json == []


def test_the_number_is_a_part_of_what_an_idempotency_key_stands_for(cli: CommandLine):
    def make(number: int) -> int:
        return cli("create", "steps", "--idempotency-key", "k", "--partitions", str(number)).code

    assert [make(2), make(2), make(3)] == [0, 0, 2]


def test_show_has_a_table_of_the_partitions_and_why_some_failed(workspace: Workspace, cli: CommandLine):
    facts = {"rows": 250_000, "attempt": 1, "rows_per_second": 41_000.4, "where": "worker-1:4711"}
    job = running_job(
        workspace,
        [
            partition(1, "completed", advanced=250_000, **facts),
            partition(2, "failed", advanced=12, **{**facts, "attempt": 3, "error": "no\x1b[31m column"}),
            partition(3, "waiting"),
        ],
    )

    assert table_of(cli("show", job).out) == [
        ["NAME", "STATUS", "ROWS", "ROWS/S", "ATTEMPT", "WHERE"],
        ["part 1", "completed", "250,000 of 250,000", "41,000", "1", "worker-1:4711"],
        ["part 2", "failed", "12 of 250,000", "41,000", "3", "worker-1:4711"],
        ["part 3", "waiting", "0"],
        ["part 2", "no [31m column"],
    ]


def test_of_many_it_has_those_that_failed_or_run_and_counts_the_others(workspace: Workspace, cli: CommandLine):
    statuses = ["completed"] * 900 + ["failed", "running", "running"] + ["waiting"] * 97
    job = running_job(workspace, [partition(number, status) for number, status in enumerate(statuses)])

    _, *lines, rest = table_of(cli("show", job).out)

    assert [line[:2] for line in lines] == [["part 900", "failed"], ["part 901", "running"], ["part 902", "running"]]
    assert rest == ["and 997 more: 900 completed, 97 waiting"]


def test_of_very_many_that_failed_it_has_some_and_counts_the_others(workspace: Workspace, cli: CommandLine):
    statuses = ["running"] * 5 + ["failed"] * 30
    job = running_job(workspace, [partition(n, status, error="broken") for n, status in enumerate(statuses)])

    shown = table_of(cli("show", job).out)

    assert len([line for line in shown if line[1:2] == ["failed"]]) == 20
    assert ["and 15 more: 5 running, 10 failed"] in shown


def test_a_job_without_partitions_has_no_table(workspace: Workspace, cli: CommandLine):
    assert "Partitions" not in cli("show", running_job(workspace, [])).out


def test_json_has_the_partitions_of_one_job_and_leaves_them_out_of_a_list(workspace: Workspace, cli: CommandLine):
    entries = [partition(1, "running", rows=3, where="worker-1:1"), partition(2)]
    job = running_job(workspace, entries, count=3)

    single = cli("show", job, "--json").json["result"]
    (listed,) = cli("list", "--json").json

    assert single.pop("partitions") == [entry.model_dump() for entry in entries]
    assert listed["result"] == single


class Watching:
    """``batch-jobs watch`` on a terminal."""

    def __init__(self, cli: CommandLine, job_id: str, columns: int) -> None:
        self._ours, theirs = os.openpty()
        environment = {**cli.environment, "COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "xterm"}
        said = {"stdout": theirs, "stderr": theirs, "stdin": subprocess.DEVNULL}
        command = [*COMMAND, "watch", job_id]
        self.process = subprocess.Popen(command, env=environment, start_new_session=True, **said)
        os.close(theirs)
        cli.started.append(self.process)
        self.shown = ""

    def until(self, text: str) -> str:
        """All that was shown until this text was, without what moves the cursor."""
        while text not in self.shown:
            self.shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(self._ours, 65536).decode())
        return self.shown

    def end(self) -> int:
        """Read to the end; returns the exit code."""
        try:
            while os.read(self._ours, 65536):
                pass
        except OSError:  # Linux' way to say that the last writer closed a terminal
            pass
        os.close(self._ours)
        return self.process.wait(60)


def test_a_terminal_shows_one_progress_over_all_and_a_short_line_for_each_that_runs(
    workspace: Workspace, cli: CommandLine
):
    entries = [partition(0, "completed", rows=10, advanced=10)]
    entries += [partition(n, "running", rows=1_000, advanced=n, rows_per_second=5.0) for n in range(1, 13)]
    entries[1] = entries[1].model_copy(update={"name": "a long name " * 9})
    job = running_job(workspace, entries, count=12_010, advancement_count=88)

    watching = Watching(cli, job, columns=80)
    lines = watching.until("and 4 more").splitlines()

    workspace.store.move(workspace.store.get(job), Action.COMPLETE, who="test")
    assert watching.end() == 0
    first = next(number for number, line in enumerate(lines) if "a long name" in line)
    assert "88 of 12,010 rows" in lines[first - 1]
    assert lines[first].endswith("…")
    assert [line.strip() for line in lines[first + 1 : first + 9]] == [
        *(f"part {n}  {n} of 1,000 rows, 5 rows/s" for n in range(2, 9)),
        "and 4 more",
    ]
    assert max(map(len, lines[first : first + 9])) <= 80


def test_elsewhere_a_line_says_that_a_partition_has_ended(workspace: Workspace, cli: CommandLine):
    before = [partition(0, "completed", rows=7, advanced=7, attempt=1), partition(1, "running", attempt=1)]
    job = running_job(workspace, [*before, partition(2, "running", attempt=1)])
    process = cli.start("watch", job)
    assert process.stderr
    first = process.stderr.readline()

    after = [
        before[0],
        partition(1, "completed", rows=9, advanced=9, rows_per_second=3.0, attempt=1),
        partition(2, "failed", attempt=3, error="no such column"),
    ]
    with_partitions(workspace.store, workspace.store.get(job), after)
    workspace.store.move(workspace.store.get(job), Action.COMPLETE, who="test")

    _, rest = process.communicate(timeout=60)
    assert first.startswith(f"{job} processing")
    assert rest.splitlines()[:2] == [
        f"{job} partition part 1 completed: 9 of 9 rows, 3 rows/s",
        f"{job} partition part 2 failed: no such column",
    ]
    assert "part 0" not in rest
