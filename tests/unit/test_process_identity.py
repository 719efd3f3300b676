"""Telling dead processes from living ones."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

import pytest

from batch_jobs.flows.jobs.process_identity import SEPARATOR, ProcessIdentity

#: Says of a process, known from outside, whether it is dead.
ASK = (
    "import json, sys; from batch_jobs.flows.jobs.process_identity import ProcessIdentity;"
    " print(ProcessIdentity(**json.loads(sys.argv[1])).is_known_dead())"
)
#: Begins a program in a pid namespace of its own, with a /proc of its own or with that of this one.
IN_NAMESPACE = {"its own /proc": ["--mount-proc"], "the /proc of outside": []}


def may_make_namespaces() -> bool:
    made = shutil.which("unshare") and subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True
    )
    return bool(made) and made.returncode == 0


def asked(identity: ProcessIdentity, before: Sequence[str] = ()) -> str:
    """What another process says of whether this one is dead."""
    import json

    command = [*before, sys.executable, "-c", ASK, json.dumps(asdict(identity))]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_this_process_is_alive_here_and_for_others():
    assert not ProcessIdentity.current().is_known_dead()
    assert asked(ProcessIdentity.current()) == "False"
    assert ProcessIdentity.of(ProcessIdentity.current().pid) == ProcessIdentity.current()


def test_a_process_that_has_ended_is_known_dead_also_before_its_parent_knows():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(process.pid)
    assert not identity.is_known_dead()
    process.communicate()
    assert identity.is_known_dead()
    zombie = subprocess.Popen(["sleep", "600"])
    identity = ProcessIdentity.of(zombie.pid)
    zombie.kill()
    while not identity.is_known_dead():  # it has ended, and nobody has asked how
        pass
    zombie.wait()


def test_a_pid_that_was_given_to_another_process_is_known_dead():
    mine = ProcessIdentity.current()
    assert replace(mine, started_at=mine.started_at - 3600).is_known_dead()


def test_nothing_is_known_of_a_process_elsewhere_or_that_an_earlier_release_wrote_down():
    mine = ProcessIdentity.current()
    name, _, seen_together = mine.host.partition(SEPARATOR)
    assert seen_together, "this test needs /proc"
    gone = replace(mine, pid=1 << 22, started_at=0.0)
    assert gone.is_known_dead()
    for host in ("another-host", f"another-host{SEPARATOR}{seen_together}", f"{name}{SEPARATOR}0123", name):
        assert not replace(gone, host=host).is_known_dead()


def test_it_is_told_by_its_host_and_pid():
    assert str(ProcessIdentity(f"web-1{SEPARATOR}0123", 7, 1.0)) == "process 7 on web-1"


@pytest.mark.skipif(not may_make_namespaces(), reason="no pid namespaces may be made here")
@pytest.mark.parametrize("proc", IN_NAMESPACE)
def test_a_container_with_the_same_host_name_does_not_take_a_living_process_for_dead(proc: str):
    before = ["unshare", "--pid", "--fork", *IN_NAMESPACE[proc]]
    assert asked(ProcessIdentity.current(), before) == "False"
    assert asked(replace(ProcessIdentity.current(), pid=1 << 22), before) == "False", "it could not see it either"
