"""A hangup is taken as SIGTERM is, unless hangups are ignored."""

import signal
import subprocess
import sys

import pytest

WAITING = """
import signal, sys
from batch_jobs.deployments.hangup import outlive_terminal

signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended in order"))
outlive_terminal()
signal.raise_signal(signal.SIGHUP)
print("goes on")
"""


@pytest.mark.parametrize(
    ("before", "said"), [(signal.SIG_DFL, ("", "ended in order\n", 1)), (signal.SIG_IGN, ("goes on\n", "", 0))]
)
def test_a_hangup_ends_what_does_not_ignore_it(before: signal.Handlers, said: tuple[str, str, int]):
    done = subprocess.run(
        [sys.executable, "-c", WAITING],
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, before),
        timeout=60,
    )
    assert (done.stdout, done.stderr, done.returncode) == said
