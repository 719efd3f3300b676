"""A job as text: its line in a list, all there is to know of it, how it ended, and what can be done next."""

from collections.abc import Sequence

import typer
from rich.text import Text

from batch_jobs.deployments.cli import output, plans
from batch_jobs.deployments.cli.output import grid, out, safe, status_text, time_text
from batch_jobs.flows.jobs import partitions
from batch_jobs.flows.jobs.model import Job, JobEvent
from batch_jobs.flows.jobs.plan import cell
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.workspace import current_workspace
from batch_jobs.strategies.sdk.errors import count_rows
from batch_jobs.strategies.sdk.partition import PartitionStatus
from batch_jobs.strategies.sdk.result import PartitionEntry

LIST_HEAD = ("ID", "TYPE", "STATUS", "PROGRESS", "ROWS", "CREATED", "BY")
#: Left out of a list, one after the other, while a line is wider than the terminal.
DISPENSABLE = ("BY", "PROGRESS", "CREATED", "ROWS")
GAP = 2
SHOWN_ERRORS = 5
PARTITION_STYLES: dict[str, str] = {
    PartitionStatus.COMPLETED: "green",
    PartitionStatus.FAILED: "red",
    PartitionStatus.STOPPED: "yellow",
    PartitionStatus.RUNNING: "cyan",
}


def print_list(jobs: Sequence[Job]) -> None:
    """Print jobs, one a line, with as many columns as the terminal has room for."""
    if not jobs:
        out.print("no jobs")
        return
    rows = [dict(zip(LIST_HEAD, _list_row(job), strict=True)) for job in jobs]
    columns = _fitting(rows, out.width)
    right = [columns.index(name) for name in ("PROGRESS", "ROWS") if name in columns]
    out.print(grid([[row[name] for name in columns] for row in rows], columns, right, whole=(0,)))


def print_job(job: Job, events: Sequence[JobEvent], undo: str | None = None) -> None:
    """Print a job with its plan, its last errors, its history and what can be done next; ``undo`` is what that does."""
    out.print(_title(job))
    out.print(grid(_facts(job)))
    plans.print_summary(job)
    print_partitions(job)
    print_errors(job)
    out.print(Text("\nHistory", style="bold"))
    out.print(grid([_event_row(event) for event in events]))
    print_next(job, events, undo)


def finish(job: Job, as_json: bool) -> None:
    """Print how a job ended and end the command by it.

    Raises:
        Exit: with code 1, unless the job is completed or waits for a yes that was not given.
    """
    if as_json:
        output.print_job_json(job)
    else:
        if job.awaits_confirmation:
            plans.print_summary(job)
            out.print()
        print_outcome(job)
    if not ended_well(job):
        output.error(why_it_stopped(job, current_workspace().service.events(job.id)))
        raise typer.Exit(1)


def print_outcome(job: Job) -> None:
    """Print how a job ended: its counts and files, and what can be done next when it ended well."""
    out.print(_title(job))
    out.print(grid([("rows", rows_text(job)), *_files(job)]))
    if ended_well(job):
        print_next(job)


def print_status(job: Job, as_json: bool) -> None:
    """Print a job's new status after an action, and what can be done next."""
    if as_json:
        output.print_job_json(job)
        return
    out.print(_title(job))
    print_next(job)


def ended_well(job: Job) -> bool:
    """Whether the job did what was asked: all of it, or the look ahead that a dry run is."""
    return job.status is Status.COMPLETED or job.awaits_confirmation


def why_it_stopped(job: Job, events: Sequence[JobEvent]) -> str:
    """Return in one line why a job with this history is not completed, and how to go on."""
    rows = count_rows(job.result.advancement_count)
    if job.status is Status.PAUSED:
        return f"stopped after {rows}; go on with: batch-jobs resume {job.id} --here"
    if job.status is Status.CANCELED:
        return f"{job.id} was canceled after {rows}"
    reason = _why_it_failed(job, events) or f"stopped while {job.status}"
    way_on = f"go on with: batch-jobs retry {job.id} --here"
    if is_refused(job, events):
        way_on = "correct the input or the context and run a new job"
    return f"{job.id} failed after {rows}: {reason}; {way_on}"


def is_refused(job: Job, events: Sequence[JobEvent]) -> bool:
    """Whether the job failed by what it was given, which trying again does not change."""
    why = _why_it_failed(job, events)  # another reason than its last error's: it was lost since
    return any(error.refused and error.message == why for error in job.result.errors[-1:])


def _why_it_failed(job: Job, events: Sequence[JobEvent]) -> str | None:
    """Return the last reason in the history: a process that was killed could write none into the job's errors."""
    if job.status is not Status.FAILED:
        return None
    return next((event.why for event in reversed(events) if event.to_status is Status.FAILED and event.why), None)


def print_errors(job: Job) -> None:
    """Print a job's last errors, newest last."""
    entries = job.result.errors[-SHOWN_ERRORS:]
    if entries and job.status is not Status.COMPLETED:
        out.print(Text("\nErrors", style="bold"))
        out.print(grid([(Text(safe(entry.code), style="red"), entry.message) for entry in entries]))


def print_partitions(job: Job) -> None:
    """Print the partitions of a job that has some, of many those that matter, and why some failed."""
    known = job.result.partitions
    if not known:
        return
    shown = partitions.to_show(known)
    out.print(Text("\nPartitions", style="bold"))
    if shown:
        right = [partitions.HEAD.index(name) for name in ("Rows", "Rows/s", "Attempt")]
        out.print(grid([_partition_row(entry) for entry in shown], [name.upper() for name in partitions.HEAD], right))
    rest = partitions.rest_text(known, shown)
    if rest:
        out.print(rest)
    errors = [(Text(safe(entry.name), style="red"), entry.error) for entry in shown if entry.error]
    if errors:
        out.print()
        out.print(grid(errors))


def print_next(job: Job, events: Sequence[JobEvent] = (), undo: str | None = None) -> None:
    """Print what can be done with the job now; of a failed one that depends on its history."""
    lines = next_steps(job, events) + ([(f"batch-jobs undo {job.id}", undo)] if undo else [])
    if lines:
        out.print(Text("\nNext", style="bold"))
        out.print(grid(lines))


def next_steps(job: Job, events: Sequence[JobEvent]) -> list[tuple[str, str]]:
    """Return the commands that make sense for a job as it stands, each with what it does."""
    again = job.id
    if job.awaits_confirmation:
        return [(f"batch-jobs confirm {again} --here", "do it"), (f"batch-jobs cancel {again}", "leave it")]
    if is_refused(job, events):
        return [(f"batch-jobs run {job.type} ...", "a new job, the input or the context corrected"), *_fetching(job)]
    if job.status is Status.FAILED:
        return [(f"batch-jobs retry {again} --here", "go on from the last checkpoint"), *_fetching(job)]
    if job.status is Status.PAUSED:
        return [(f"batch-jobs resume {again} --here", "go on"), (f"batch-jobs cancel {again}", "stop for good")]
    if job.status in (Status.COMPLETED, Status.CANCELED):
        return _fetching(job)
    if job.waits_for_prefect:
        return [("batch-jobs serve", "starts it"), (f"batch-jobs retry {again} --here", "runs it in this process")]
    return [
        (f"batch-jobs watch {again}", "follow it"),
        (f"batch-jobs cancel {again}", "stop it at its next chunk edge"),
    ]


def rows_text(job: Job) -> str:
    """Return how many rows were gone through, and what became of them."""
    result = job.result
    of = f" of {result.count:,}" if result.count is not None else ""
    counts = {
        "created": result.created,
        "updated": result.updated,
        "unchanged": result.unchanged,
        "removed": result.removed,
        "rejected": result.rejected,
    }
    outcomes = ", ".join(f"{rows:,} {word}" for word, rows in counts.items() if rows)
    return f"{result.advancement_count:,}{of}" + (f": {outcomes}" if outcomes else "")


def _title(job: Job) -> Text:
    title = Text.assemble((job.id, "bold"), f"  {safe(job.type)}  ", status_text(job.status))
    if job.awaits_confirmation:
        title.append(", awaits confirmation")
    return title


def _fitting(rows: Sequence[dict[str, str | Text]], width: int) -> list[str]:
    """Return the columns of a list for which a terminal has room."""
    needed = {name: GAP + max(len(name), *(len(row[name]) for row in rows)) for name in LIST_HEAD}
    for name in DISPENSABLE:
        if sum(needed.values()) - GAP > width:
            del needed[name]
    return list(needed)


def _list_row(job: Job) -> list[str | Text]:
    count = "" if job.result.count is None else f"/{job.result.count:,}"
    rows = f"{job.result.advancement_count:,}{count}"
    progress = f"{job.result.progress:.0%}"
    return [job.id, job.type, status_text(job.status), progress, rows, time_text(job.created_at), job.created_by or ""]


def _partition_row(entry: PartitionEntry) -> list[str | Text]:
    name, status, *rest = partitions.cells(entry)
    return [name, Text(safe(status), style=PARTITION_STYLES.get(status, "")), *rest]


def _facts(job: Job) -> list[tuple[str, str]]:
    context = ", ".join(f"{name}={cell(value)}" for name, value in job.context.items() if value not in (None, [], {}))
    facts = [
        ("context", context or "none"),
        ("rows", rows_text(job)),
        ("progress", f"{job.result.progress:.0%}"),
        *_files(job),
    ]
    made = f"{time_text(job.created_at)} by {job.created_by or 'nobody named'}, {job.trigger}" + (
        ", dry run" if job.dry_run else ""
    )
    facts += [("created", made), ("attempt", str(job.attempt))]
    if job.belongs_to:
        facts.append(("belongs to", job.belongs_to))
    if job.partitions:
        facts.append(("partitions", f"{job.partitions:,} at a time"))
    if job.start_at:
        facts.append(("starts", f"not before {time_text(job.start_at)}"))
    if job.worker:
        facts.append(("runs in", str(job.worker)))
    if job.flow_run_id:
        facts.append(("flow run", " ".join(filter(None, (job.flow_run_id, job.flow_run_state_name)))))
    return facts


def _files(job: Job) -> list[tuple[str, str]]:
    files = []
    if job.result.file_key:
        files.append(("file", f"{job.result.file_key} ({job.result.file_size or 0:,} bytes)"))
    if job.result.rejects_file_key:
        files.append(("rejects file", job.result.rejects_file_key))
    return files


def _fetching(job: Job) -> list[tuple[str, str]]:
    keys = {"the result": job.result.file_key, "the rejected rows and why": job.result.rejects_file_key}
    return [(f"batch-jobs files get {key}", what) for what, key in keys.items() if key]


def _event_row(event: JobEvent) -> list[str | Text]:
    if event.from_status is event.to_status:
        moved = Text(event.action.replace("_", " "))
    else:
        moved = Text.assemble(f"{event.from_status} → " if event.from_status else "", status_text(event.to_status))
    return [time_text(event.at), moved, event.who, event.why or ""]
