"""The two-person rule at the command line: who somebody is says the system."""

import getpass
from typing import Any


def test_the_command_line_knows_the_systems_user_whatever_the_environment_says(cli_with_prefect: Any):
    rule = {"BATCH_JOBS_CONFIRM_BY_OTHER": "steps"}

    waits = cli_with_prefect("run", "steps", **rule)
    assert (waits.code, waits.err.count("somebody else has to confirm it")) == (1, 1)
    (job,) = cli_with_prefect("list", "--json").json
    assert (job["status"], job["created_by"]) == ("pre_processed", getpass.getuser())

    for command in (["confirm", job["id"], "--here"], ["run", "steps", "--dry-run", "--yes"]):
        refused = cli_with_prefect(*command, LOGNAME="mallory", USER="mallory", **rule)
        assert refused.code in (1, 2)
        assert "somebody else" in refused.err.splitlines()[-1]
    assert {job["status"] for job in cli_with_prefect("list", "--json").json} == {"pre_processed"}
