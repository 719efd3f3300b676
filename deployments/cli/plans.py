"""A job's plan at the terminal: its summary, or all of it."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from batch_jobs.deployments.cli.output import grid, out
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.plan import cell, sections

SHOWN_CHANGES = 10


def print_summary(job: Job) -> None:
    """Print the plan's summary and a sample of the changes."""
    if job.result.summary:
        out.print(Text("\nPlan", style="bold"))
        out.print(grid([(entry.name, entry.message) for entry in job.result.summary]))
    changes: list[dict[str, Any]] = job.shown_plan.get("sample") or []
    if changes:
        out.print(Text("\nChanges, the first few", style="bold"))
        out.print(
            grid([[cell(value) for value in change.values()] for change in changes[:SHOWN_CHANGES]], [*changes[0]])
        )


def print_whole(plan: Mapping[str, Any], job_id: str) -> None:
    """Print all that the plan of a job has, key by key."""
    found = sections(plan)
    if not found:
        out.print(f"{job_id} has no plan")
    for section in found:
        if section.title:
            out.print(Text(f"\n{section.title}", style="bold"))
        out.print(grid(section.rows, section.head))
