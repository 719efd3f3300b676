"""Telling dead processes from living ones."""

import subprocess
import sys

from batch_jobs.flows.jobs.process_identity import ProcessIdentity


def test_this_process_is_alive():
    assert not ProcessIdentity.current().is_known_dead()


def test_a_process_that_has_ended_is_known_dead():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    mine = ProcessIdentity.current()
    assert ProcessIdentity(mine.host, process.pid, mine.started_at).is_known_dead()


def test_a_pid_that_was_given_to_another_process_is_known_dead():
    mine = ProcessIdentity.current()
    assert ProcessIdentity(mine.host, mine.pid, mine.started_at - 3600).is_known_dead()


def test_nothing_is_known_of_a_process_elsewhere():
    assert not ProcessIdentity("another-host", 1, 0.0).is_known_dead()
