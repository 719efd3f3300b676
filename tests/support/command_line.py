"""The real command, in a process of its own."""

import atexit
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from support.warm_commands import WarmCommands

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from batch_jobs.deployments.cli.main import main; main()"]


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line of error, which is all there may be on stderr."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        return lines[0].removeprefix("error: ")


@cache
def warm_commands() -> WarmCommands:
    """One for all command lines."""
    commands = WarmCommands(ROOT)
    atexit.register(commands.close)
    return commands


class CommandLine:
    """Runs ``batch-jobs`` with settings of its own."""

    def __init__(self, **settings: str) -> None:
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, stdin: str = "", **settings: str) -> Done:
        """Run a command to its end, in a process forked from one that has imported what it needs."""
        with tempfile.TemporaryDirectory(prefix="command-") as folder:
            said = [Path(folder) / name for name in ("stdin", "stdout", "stderr")]
            for file, text in zip(said, (stdin, "", ""), strict=True):
                file.write_text(text)
            code = warm_commands().run(arguments, {**self.environment, **settings}, said)
            return Done(code, said[1].read_text(), said[2].read_text())

    def from_scratch(self, *arguments: str, stdin: str = "", **settings: str) -> Done:
        """Run a command to its end as anybody would, in a process that has imported nothing."""
        environment = {**self.environment, **settings}
        done = subprocess.run(
            [*COMMAND, *arguments], env=environment, input=stdin, capture_output=True, text=True, timeout=120
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def on_a_terminal(self, *arguments: str, columns: int) -> list[str]:
        """The lines of a command as a terminal of this width shows them, without colours."""
        ours, theirs = os.openpty()
        environment = {**self.environment, "COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "xterm"}
        process = subprocess.Popen([*COMMAND, *arguments], env=environment, stdout=theirs, stdin=subprocess.DEVNULL)
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 65536):
                shown += block
        except OSError:  # Linux' way to say that the last writer closed a terminal
            pass
        os.close(ours)
        process.wait(timeout=120)
        return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command and leave it running, in a process group of its own as a terminal would."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [*COMMAND, *arguments]
        process = subprocess.Popen(command, env=self.environment, text=True, start_new_session=True, **pipes)
        self.started.append(process)
        return process
