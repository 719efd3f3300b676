"""Consoles, colours and tables; what the command line prints of a job is put together in ``reports``."""

import json
import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from batch_jobs.flows.jobs.transitions import Status

if TYPE_CHECKING:
    from batch_jobs.flows.jobs.model import Job

PIPED_WIDTH = 10_000  # nothing is wrapped or cut for a program that reads it

STATUS_STYLES = {
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.CANCELED: "yellow",
    Status.PAUSED: "yellow",
    Status.PROCESSING: "cyan",
    Status.PRE_PROCESSED: "magenta",
}


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)


#: What was asked for goes to ``out``; progress, hints and errors to ``err``.
out = _console(stderr=False)
err = _console(stderr=True)


def is_interactive() -> bool:
    """Whether a person sits at the terminal and may be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def error(message: str) -> None:
    """Print one line on stderr that says what went wrong."""
    err.print(Text("error: ", style="bold red").append(safe(message), style="not bold default"))


def hint(message: str) -> None:
    """Print one line on stderr: what happens now, or what to do next."""
    err.print(Text(safe(message), style="dim" if err.is_terminal else ""))


def ask(question: str) -> bool:
    """Ask on stderr and return whether the answer is yes."""
    err.print(Text(f"{question} [y/N] "), end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_json_array(values: Iterable[Any]) -> None:
    """Print values as one JSON array on stdout, each as it comes, as there may be very many."""
    before = "[\n"
    for value in values:
        sys.stdout.write(before + textwrap.indent(json.dumps(value, indent=2, ensure_ascii=False), "  "))
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def print_job_json(job: "Job") -> None:
    """Print a job as one JSON object: the columns of its row."""
    print_json(job.model_dump(mode="json"))


def status_text(status: Status) -> Text:
    """Return a status in its colour."""
    return Text(status, style=STATUS_STYLES.get(status, ""))


def time_text(at: datetime) -> str:
    """Return a time in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def safe(text: str) -> str:
    """Return the text in one line, without what moves the cursor or changes colours."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


class UnpaddedTable:
    """A table without blanks at the ends of its lines."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines of the table, each cut after its last letter."""
        for line in console.render_lines(self._table, options, pad=False):
            while line and not line[-1].text.strip():
                line.pop()
            if line:
                last = line.pop()
                line.append(Segment(last.text.rstrip(), last.style, last.control))
            yield from line
            yield Segment.line()


def grid(
    rows: Sequence[Sequence[str | Text]],
    head: Sequence[str] = (),
    right: Sequence[int] = (),
    whole: Sequence[int] = (),
) -> UnpaddedTable:
    """Return rows in aligned columns.

    Args:
        rows: the cells of each row.
        head: the names of the columns, if they are to be shown.
        right: the columns of numbers, by index; they are aligned at their right end.
        whole: the columns that are never broken into two lines, by index.
    """
    table = Table(box=None, show_header=bool(head), pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index in range(len(head) or len(rows[0])):
        table.add_column(
            head[index] if head else "",
            justify="right" if index in right else "left",
            overflow="fold",
            no_wrap=index in whole,
            min_width=max(map(len, (row[index] for row in rows))) if index in whole else None,
        )
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(safe(cell)) for cell in row))
    return UnpaddedTable(table)


def is_debugging() -> bool:
    """Whether ``BATCH_JOBS_DEBUG`` asks for tracebacks."""
    return os.environ.get("BATCH_JOBS_DEBUG", "") not in ("", "0")
