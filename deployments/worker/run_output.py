"""Where runs print to: a file of HOME that stays small, however much a strategy prints, and not our own output."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from batch_jobs.deployments.worker import bounded_file

STREAMS = ("stdout", "stderr")
END_SECONDS = 5.0


def run_log(home: Path) -> Path:
    """The file of what runs print."""
    return home / "runs.log"


@contextmanager
def runs_print_to(log: Path) -> Iterator[None]:
    """Let the processes that are started in the block print to a file; this process prints where it did.

    They inherit the descriptors of stdout and stderr, so those become the file's, and this process goes on by copies.
    """
    with ExitStack() as undone:
        keeper = _keeper(log)
        undone.callback(_await_end, keeper)
        assert keeper.stdin is not None
        undone.callback(keeper.stdin.close)
        for number, name in enumerate(STREAMS, 1):
            stream: TextIO = getattr(sys, name)
            stream.flush()
            kept = os.dup(number)
            own = open(kept, "w", buffering=1, encoding=stream.encoding, errors=stream.errors)  # noqa: SIM115
            undone.callback(own.close)
            undone.callback(os.dup2, kept, number)
            undone.callback(setattr, sys, name, stream)
            setattr(sys, name, own)
            os.dup2(keeper.stdin.fileno(), number)
        yield


def _keeper(log: Path) -> "subprocess.Popen[bytes]":
    # by its path: it needs nothing else of ours, and is there in a moment
    command = [sys.executable, "-I", "-S", bounded_file.__file__, str(log)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def _await_end(keeper: "subprocess.Popen[bytes]") -> None:
    """Wait a little for what is still to be written; a run that lives on keeps it."""
    with suppress(subprocess.TimeoutExpired):
        keeper.wait(END_SECONDS)
